//! A virtual machine of KVM's: its memory regions, and what is decided for all its vCPUs.
//!
//! The interrupt controllers and timers are ours, as under the interpreter, not the kernel's: see
//! ARCHITECTURE, "KVM". So HLT, the local APIC's page and most model-specific registers come to us.
//!
//! Invariant: regions are set before the first vCPU, and again only by a vCPU that is the only one,
//! while it does not run; their memory outlives the machine.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use kvm_bindings::{
    CpuId, KVM_CAP_X86_USER_SPACE_MSR, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2,
    kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{
    MsrExitReason, MsrFilterDefaultAction, MsrFilterRange, MsrFilterRangeFlags, VcpuFd, VmFd,
};
use monovisor_core::EngineError;
use monovisor_core::cpuid::{Model, TSC_HZ};
use monovisor_core::exclusive::Section;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::ioctl::failed;
use super::system::{self, System, Unavailable};
use crate::memory::GuestRam;

/// Four pages that processors without unrestricted guests need (Intel's oldest), in the device gap.
const IDENTITY_MAP: u64 = 0xfeff_c000;
const TASK_STATE: usize = 0xfeff_d000;

/// The model-specific registers that KVM or the processor handles; all others are looked up in the
/// table that the interpreter uses.
pub(super) const NATIVE_MSRS: &[u32] = &[
    0x10, // IA32_TIME_STAMP_COUNTER
    0x3b, // IA32_TSC_ADJUST
    0x174,
    0x175,
    0x176, // IA32_SYSENTER_CS, ESP, EIP
    0xc000_0080,
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084, // IA32_EFER, STAR … FMASK
    0xc000_0100,
    0xc000_0101,
    0xc000_0102, // IA32_FS_BASE, GS_BASE, KERNEL_GS_BASE
    0xc000_0103, // IA32_TSC_AUX
];
/// The two ranges of register numbers that processors use, 0x2000 each.
const MSR_RANGES: [u32; 2] = [0, 0xc000_0000];
const MSR_RANGE: u32 = 0x2000;

/// A machine.
#[derive(Debug)]
pub struct Machine {
    vm: VmFd,
    pub(super) system: Arc<System>,
    /// What vCPUs are to tell; `model` is that without what this KVM lacks, when it is known.
    offered: Model,
    model: OnceLock<Model>,
    /// Asks KVM what it has.
    asking: Mutex<Option<JoinHandle<Result<CpuId, Unavailable>>>>,
    /// KVM has its addresses.
    ram: Arc<GuestRam>,
    /// How many there have been; locked while one is made and while regions are set.
    vcpus: Mutex<u32>,
}

impl Machine {
    /// A machine with this RAM and no vCPU yet; its vCPUs tell what this KVM has of `model`.
    ///
    /// # Errors
    /// What KVM refuses.
    pub fn new(system: System, model: Model, ram: Arc<GuestRam>) -> Result<Arc<Self>, Unavailable> {
        let system = Arc::new(system);
        // It takes long, and the machine is made meanwhile. Without a thread it is asked later.
        let asked = Arc::clone(&system);
        let asking = thread::Builder::new().name("cpuid".into()).spawn(move || asked.supported());
        Ok(Arc::new(Self {
            vm: create_vm(&system, &ram)?,
            system,
            offered: model,
            model: OnceLock::new(),
            asking: Mutex::new(asking.ok()),
            ram,
            vcpus: Mutex::new(0),
        }))
    }

    /// What vCPUs tell about themselves, but for the frequency of the time-stamp counter.
    fn model(&self) -> Result<Model, Unavailable> {
        if let Some(model) = self.model.get() {
            return Ok(*model);
        }
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).take();
        let supported = match asking.map(JoinHandle::join) {
            Some(Ok(supported)) => supported?,
            Some(Err(_)) | None => self.system.supported()?,
        };
        let supported = supported.as_slice();
        let model = self.offered.masked(|feature| system::has(supported, feature));
        // XSAVE puts it where the processor likes.
        let pkru = supported.iter().find(|entry| (entry.function, entry.index) == (0xd, 9));
        let model = pkru.map_or(model, |entry| model.with_pkru_at(entry.ebx));
        Ok(*self.model.get_or_init(|| model))
    }

    /// Makes KVM forget what it has derived from the contents of RAM, which somebody else has
    /// written: without nested paging it shadows the guest's page tables, and follows only the
    /// guest's own writes to them. For the vCPU that calls it; with others beside it, which would
    /// find RAM gone for a moment, it is refused, unless they stand still in a section.
    pub(super) fn forget_contents(&self, section: Option<&Section<'_>>) -> Result<(), EngineError> {
        let vcpus = self.vcpus.lock().unwrap_or_else(PoisonError::into_inner);
        if *vcpus > 1 && section.is_none() {
            let operation = "replacement of RAM under several vCPUs";
            return Err(EngineError { operation, errno: libc::EBUSY });
        }
        for region in regions(&self.ram) {
            for memory_size in [0, region.memory_size] {
                let region = kvm_userspace_memory_region { memory_size, ..region };
                // SAFETY: as in `new`; no other vCPU executes, and none can be made now.
                unsafe { self.vm.set_user_memory_region(region) }
                    .map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
            }
        }
        Ok(())
    }

    /// A vCPU of KVM's, and what it tells about itself, with what its time-stamp counter really is.
    pub(super) fn create_vcpu(&self, apic_id: u32) -> Result<(VcpuFd, Model), Unavailable> {
        let mut vcpus = self.vcpus.lock().unwrap_or_else(PoisonError::into_inner);
        *vcpus += 1;
        let fd =
            self.vm.create_vcpu(apic_id.into()).map_err(Unavailable::call("KVM_CREATE_VCPU"))?;
        if self.system.scales_tsc {
            // The interpreter's frequency; where it is out of reach, the guest is told the real one.
            let _ = fd.set_tsc_khz(TSC_HZ / 1000);
        }
        let tsc_khz = fd.get_tsc_khz().map_err(Unavailable::call("KVM_GET_TSC_KHZ"))?;
        let model = self.model()?.with_tsc_khz(tsc_khz);
        let entries: Vec<_> = model.table(apic_id).iter().map(entry).collect();
        let table = CpuId::from_entries(&entries)
            .map_err(|_| Unavailable::Unfit("the CPUID table is too long for KVM".to_owned()))?;
        fd.set_cpuid2(&table).map_err(Unavailable::call("KVM_SET_CPUID2"))?;
        Ok((fd, model))
    }
}

fn create_vm(system: &System, ram: &GuestRam) -> Result<VmFd, Unavailable> {
    let vm = system.kvm.create_vm().map_err(Unavailable::call("KVM_CREATE_VM"))?;
    // First of all: the kernel waits for a grace period here, which passes at once while there was
    // none before, and takes milliseconds behind another, such as that of a region.
    take_msrs(&vm)?;
    vm.set_identity_map_address(IDENTITY_MAP)
        .map_err(Unavailable::call("KVM_SET_IDENTITY_MAP_ADDR"))?;
    vm.set_tss_address(TASK_STATE).map_err(Unavailable::call("KVM_SET_TSS_ADDR"))?;
    for region in regions(ram) {
        // SAFETY: the mapping lives as long as the RAM, which the machine keeps.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(Unavailable::call("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(vm)
}

/// RAM as KVM is told of it.
fn regions(ram: &GuestRam) -> impl Iterator<Item = kvm_userspace_memory_region> {
    ram.as_vm_memory().iter().zip(0..).map(|(region, slot)| kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: region.start_addr().0,
        memory_size: region.len(),
        userspace_addr: region.as_ptr() as u64,
    })
}

fn entry(leaf: &monovisor_core::cpuid::Leaf) -> kvm_cpuid_entry2 {
    let [eax, ebx, ecx, edx] = leaf.registers;
    let flags = if leaf.subleaf.is_some() { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 };
    let index = leaf.subleaf.unwrap_or(0);
    kvm_cpuid_entry2 { function: leaf.leaf, index, flags, eax, ebx, ecx, edx, ..Default::default() }
}

/// Has all accesses to model-specific registers reported but those of [`NATIVE_MSRS`], and those
/// that KVM refuses.
fn take_msrs(vm: &VmFd) -> Result<(), Unavailable> {
    let reasons = MsrExitReason::Inval | MsrExitReason::Unknown | MsrExitReason::Filter;
    let mut cap = kvm_enable_cap { cap: KVM_CAP_X86_USER_SPACE_MSR, ..Default::default() };
    cap.args[0] = u64::from(reasons.bits());
    vm.enable_cap(&cap).map_err(Unavailable::call("KVM_ENABLE_CAP(KVM_CAP_X86_USER_SPACE_MSR)"))?;
    let bitmaps = MSR_RANGES.map(|base| {
        let mut bitmap = [0; MSR_RANGE as usize / 8];
        let offsets = NATIVE_MSRS.iter().map(|msr| msr.wrapping_sub(base));
        for offset in offsets.filter(|&offset| offset < MSR_RANGE) {
            bitmap[offset as usize / 8] |= 1u8 << (offset % 8);
        }
        bitmap
    });
    let ranges = [0, 1].map(|range| MsrFilterRange {
        flags: MsrFilterRangeFlags::READ | MsrFilterRangeFlags::WRITE,
        base: MSR_RANGES[range],
        msr_count: MSR_RANGE,
        bitmap: &bitmaps[range],
    });
    vm.set_msr_filter(MsrFilterDefaultAction::DENY, &ranges)
        .map_err(Unavailable::call("KVM_X86_SET_MSR_FILTER"))
}

//! The processor under us, as guests of KVM meet it: user mode with a kernel of our own, which halts
//! in the handler of whatever an instruction raises.
//!
//! A KVM without VMX or SVM under it is paravirtual: 64-bit code of user mode is executed by the
//! processor, and all else is emulated, with gaps. There what fails is refused, not compared.

use std::{mem, ptr};

use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs,
    kvm_userspace_memory_region, kvm_xcr, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::{Error, Kvm, VcpuExit, VcpuFd, VmFd};
use monovisor_core::CpuState;
use monovisor_core::state::{DescriptorTable, Register, Segment, SegmentRegister};

use super::map_anonymous;
use super::xsave::{self, AVX, Area, X87_SSE};
use crate::case::{CODE_ROOM, Case, Outcome, State};
use crate::generate::Image;
use crate::guest::{self, ARENA_FRAME, CODE_FRAME, INT3, RSP};
use crate::layout::{Mode, PAGE, WRITABLE};
use crate::silicon::{Lost, Silicon};

/// An alarm comes so often. An instruction that two of them interrupt does not end.
const ALARM_S: i64 = 1;
/// The state-component leaf of CPUID.
const STATE_COMPONENTS: u32 = 0xd;

/// A machine with one processor.
pub struct Guest {
    vcpu: VcpuFd,
    _vm: VmFd,
    memory: *mut u8,
    /// The kernel about to leave for each mode: a paravirtual KVM would emulate user mode, too, if
    /// one began there.
    modes: [CpuState; 3],
    /// The mode whose segments the processor has; the kernel's are in place whenever it halts.
    entered: Option<Mode>,
    xsave: Box<kvm_xsave>,
    /// Where the upper halves of the YMM registers are, if there are any.
    ymm_offset: Option<usize>,
    paravirtual: bool,
    answers: Vec<Result<Outcome, Lost>>,
}

impl Guest {
    /// Makes the machine, or says why KVM can't be used.
    pub fn new() -> Result<Self, String> {
        let kvm = Kvm::new().map_err(|error| format!("/dev/kvm cannot be opened: {error}"))?;
        Self::make(&kvm).map_err(|error| format!("KVM makes no machine: {error}"))
    }

    fn make(kvm: &Kvm) -> Result<Self, Error> {
        let vm = kvm.create_vm()?;
        let memory = map_anonymous(guest::MEMORY_BYTES);
        let image = guest::memory();
        // SAFETY: the mapping is as large as the image, and new.
        unsafe { ptr::copy_nonoverlapping(image.as_ptr(), memory, image.len()) };
        let region = kvm_userspace_memory_region {
            memory_size: guest::MEMORY_BYTES as u64,
            userspace_addr: memory as u64,
            ..Default::default()
        };
        // SAFETY: the mapping is never undone.
        unsafe { vm.set_user_memory_region(region)? };
        let vcpu = vm.create_vcpu(0)?;
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        vcpu.set_cpuid2(&cpuid)?;
        let component = |number| {
            let leaves = cpuid.as_slice().iter();
            leaves.clone().find(|leaf| (leaf.function, leaf.index) == (STATE_COMPONENTS, number))
        };
        let offered = component(0).map_or(0, |leaf| u64::from(leaf.eax)) & (X87_SSE | AVX);
        let upper = component(2).filter(|_| offered & AVX != 0);
        let modes = Mode::ALL.map(guest::user_mode);
        vcpu.set_sregs(&sregs(&modes[0]))?;
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
        xcrs.xcrs[0] = kvm_xcr { xcr: 0, reserved: 0, value: offered };
        vcpu.set_xcrs(&xcrs)?;
        start_alarms();
        Ok(Self {
            vcpu,
            _vm: vm,
            memory,
            modes,
            entered: None,
            xsave: Box::default(),
            ymm_offset: upper.map(|leaf| leaf.ebx as usize),
            paravirtual: is_paravirtual(),
            answers: Vec::new(),
        })
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        // SAFETY: callers name places in guest memory, and the guest does not run.
        unsafe {
            ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.memory.add(address as usize),
                bytes.len(),
            );
        }
    }

    fn area(&mut self) -> Area {
        // SAFETY: the structure is an image in standard form, and this value's own.
        unsafe { Area::new((&raw mut *self.xsave).cast(), self.ymm_offset) }
    }

    /// Executes one case.
    fn run(&mut self, image: &Image, case: &Case) -> Result<Outcome, Lost> {
        self.write(ARENA_FRAME, image);
        self.write(ARENA_FRAME + u64::from(case.poke_at), &case.poke);
        let end = CODE_FRAME + PAGE;
        // As much as there can be of what was there before.
        self.write(end - CODE_ROOM as u64, &[INT3; CODE_ROOM]);
        self.write(end - u64::from(case.length), case.code());
        self.enter(case).map_err(|_| Lost::Gone)?;
        self.halt().inspect_err(|_| self.entered = None)?;
        self.outcome(case).map_err(|_| Lost::Gone)
    }

    fn enter(&mut self, case: &Case) -> Result<(), Error> {
        *self.xsave = kvm_xsave::default();
        self.xsave.region[xsave::HEADER / 4] = X87_SSE as u32;
        self.area().write(&case.state);
        let kernel = &mut self.modes[case.mode as usize];
        let (stack, frame) = guest::leave(kernel, case.mode, &case.state);
        let (rip, rsp) = (kernel.rip, kernel.gpr[Register::Rsp]);
        if self.entered != Some(case.mode) {
            self.vcpu.set_sregs(&sregs(kernel))?;
            self.entered = Some(case.mode);
        }
        self.vcpu.set_regs(&kvm_regs { rip, rsp, rflags: 2, ..regs(&case.state) })?;
        for (word, address) in frame.iter().zip((stack..).step_by(8)) {
            self.write(address, &word.to_le_bytes());
        }
        // SAFETY: no component is enabled that needs more than the structure.
        unsafe { self.vcpu.set_xsave(&self.xsave) }
    }

    /// Runs until the kernel halts.
    fn halt(&mut self) -> Result<(), Lost> {
        let refused = |why| if self.paravirtual { Lost::Refused(why) } else { Lost::Gone };
        for _ in 0..2 {
            return match self.vcpu.run() {
                Ok(VcpuExit::Hlt) => Ok(()),
                Ok(VcpuExit::Shutdown) => Err(refused("this KVM does not deliver the exception")),
                Ok(VcpuExit::InternalError) => Err(refused("this KVM does not emulate it")),
                Ok(_) => Err(Lost::Gone),
                Err(error) if error.errno() == libc::EINTR => continue,
                Err(_) => Err(Lost::Gone),
            };
        }
        Err(refused("this KVM does not stop"))
    }

    fn outcome(&mut self, case: &Case) -> Result<Outcome, Error> {
        let (regs, sregs) = (self.vcpu.get_regs()?, self.vcpu.get_sregs()?);
        *self.xsave = self.vcpu.get_xsave()?;
        let mut state = case.state;
        load_regs(&mut state, &regs);
        self.area().read(&mut state);
        let memory = self.memory;
        // SAFETY: the kernel's stack is in guest memory, and the guest does not run.
        let word = |at: u64| unsafe { ptr::read_unaligned(memory.add(at as usize).cast()) };
        // HLT is complete.
        let raised = guest::raised(regs.rip - 1, sregs.cr2, word, &mut state);
        let mut memory = [0; WRITABLE as usize];
        // SAFETY: the arena is in guest memory, and the guest does not run.
        unsafe {
            let arena = self.memory.add(ARENA_FRAME as usize);
            ptr::copy_nonoverlapping(arena, memory.as_mut_ptr(), memory.len());
        }
        let mut outcome = Outcome { raised, state, memory };
        outcome.settle(case);
        Ok(outcome)
    }
}

impl Silicon for Guest {
    fn name(&self) -> &'static str {
        match self.paravirtual {
            true => "the processor, as guests of a paravirtual KVM meet it",
            false => "the processor, as guests of KVM meet it",
        }
    }

    fn is_paravirtual(&self) -> bool {
        self.paravirtual
    }

    fn modes(&self) -> &[Mode] {
        if self.paravirtual { &[Mode::Long] } else { &Mode::ALL }
    }

    /// With a stack pointer that is not canonical a paravirtual KVM does not leave for user mode, but
    /// emulates it.
    fn adapt(&self, case: &mut Case) {
        if self.paravirtual {
            let rsp = &mut case.state.gpr[RSP];
            *rsp = ((*rsp << 16) as i64 >> 16) as u64;
        }
    }

    fn begin(&mut self, image: &Image, cases: &[Case]) {
        self.answers = cases.iter().map(|case| self.run(image, case)).collect();
    }

    fn finish(&mut self) -> Vec<Result<&Outcome, Lost>> {
        self.answers.iter().map(|answer| answer.as_ref().map_err(|lost| *lost)).collect()
    }
}

/// Whether the processor offers neither VMX nor SVM.
fn is_paravirtual() -> bool {
    use std::arch::x86_64::__cpuid;
    let vmx = __cpuid(1).ecx >> 5 & 1 != 0;
    let svm = __cpuid(0x8000_0000).eax > 0x8000_0000 && __cpuid(0x8000_0001).ecx >> 2 & 1 != 0;
    !vmx && !svm
}

/// Has a signal interrupt KVM_RUN now and then.
fn start_alarms() {
    extern "C" fn on_alarm(_signal: libc::c_int) {}
    // SAFETY: plain data, all zero is valid; the handler does nothing; no flags, so that system calls
    // are interrupted.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_alarm as *const () as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut());
        let period = libc::timeval { tv_sec: ALARM_S, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: period, it_value: period };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut());
    }
}

fn regs(state: &State) -> kvm_regs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = state.gpr;
    kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rsp,
        rbp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        ..Default::default()
    }
}

fn load_regs(state: &mut State, regs: &kvm_regs) {
    state.gpr = [
        regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi, regs.r8,
        regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
}

fn sregs(state: &CpuState) -> kvm_sregs {
    let segment = |register| segment(&state.segments[register]);
    let table = |table: DescriptorTable| kvm_dtable {
        base: table.base,
        limit: table.limit,
        ..Default::default()
    };
    kvm_sregs {
        es: segment(SegmentRegister::Es),
        cs: segment(SegmentRegister::Cs),
        ss: segment(SegmentRegister::Ss),
        ds: segment(SegmentRegister::Ds),
        fs: segment(SegmentRegister::Fs),
        gs: segment(SegmentRegister::Gs),
        ldt: segment(SegmentRegister::Ldtr),
        tr: segment(SegmentRegister::Tr),
        gdt: table(state.gdtr),
        idt: table(state.idtr),
        cr0: state.control.cr0.bits(),
        cr3: state.control.cr3,
        cr4: state.control.cr4.bits(),
        efer: state.control.efer.bits(),
        apic_base: state.msr.apic_base,
        ..Default::default()
    }
}

fn segment(segment: &Segment) -> kvm_segment {
    let Segment { base, limit, access, selector } = *segment;
    let bit = |number: u32| (access.0 >> number & 1) as u8;
    kvm_segment {
        base,
        limit,
        selector,
        type_: access.kind(),
        s: bit(4),
        dpl: access.dpl(),
        present: bit(7),
        avl: bit(12),
        l: bit(13),
        db: bit(14),
        g: bit(15),
        unusable: bit(16),
        padding: 0,
    }
}

//! A self-check: a program of some twenty instructions that goes from real mode through protected
//! mode to 64-bit mode, and there uses SSE2, as all compiled kernels do. A KVM that cannot run it,
//! because it emulates what it cannot virtualise, is not for `--accel auto`.
//!
//! It runs on the machine's own vCPU before the guest does, because making another machine would
//! take longer than all the rest. Invariant: RAM is as it was when it ends.

use std::arch::x86_64::__cpuid;

use monovisor_core::state::{Cr0Flags, Register, SegmentRegister};
use monovisor_core::{Clock, CpuState, Engine, Exit};

use super::system::Unavailable;
use super::vcpu::KvmVcpu;
use crate::memory::GuestRam;

/// Where program, descriptor table and page tables are put for the time of the check.
const START: u64 = 0x1000;
const BYTES: usize = 0x4000;
const GDT: u64 = 0x1f08;
const PML4: u64 = 0x2000;
const PAGE_DIRECTORY_POINTERS: u64 = 0x3000;
const PAGE_DIRECTORY: u64 = 0x4000;

/// It takes some microseconds, or a few hundred where kernel mode is emulated.
const LIMIT_NS: u64 = 100_000_000;

/// What is in RBX at the end: twice the sum of the number and 1.
const ANSWER: u64 = 2 * (0x1234_5678_9abc_def0 + 1);

#[rustfmt::skip]
const PROGRAM: &[u8] = &[
    // 16-bit code.
    0x0f, 0x01, 0x16, 0x00, 0x1f,                   // lgdt [0x1f00]
    0x0f, 0x20, 0xc0,                               // mov eax, cr0
    0x0c, 0x01,                                     // or al, 1 (PE)
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0xea, 0x12, 0x10, 0x08, 0x00,                   // jmp 8:0x1012
    // 32-bit code, at 0x1012.
    0x66, 0xb8, 0x18, 0x00,                         // mov ax, 0x18
    0x8e, 0xd8,                                     // mov ds, ax
    0x8e, 0xd0,                                     // mov ss, ax
    0xb8, 0x20, 0x06, 0x00, 0x00,                   // mov eax, 0x620 (PAE, OSFXSR, OSXMMEXCPT)
    0x0f, 0x22, 0xe0,                               // mov cr4, eax
    0xb8, 0x00, 0x20, 0x00, 0x00,                   // mov eax, 0x2000
    0x0f, 0x22, 0xd8,                               // mov cr3, eax
    0xb9, 0x80, 0x00, 0x00, 0xc0,                   // mov ecx, 0xc0000080 (IA32_EFER)
    0x0f, 0x32,                                     // rdmsr
    0x80, 0xcc, 0x01,                               // or ah, 1 (LME)
    0x0f, 0x30,                                     // wrmsr
    0x0f, 0x20, 0xc0,                               // mov eax, cr0
    0x0d, 0x02, 0x00, 0x00, 0x80,                   // or eax, 0x80000002 (PG, MP)
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0xea, 0x48, 0x10, 0x00, 0x00, 0x10, 0x00,       // jmp 0x10:0x1048
    // 64-bit code, at 0x1048.
    0x48, 0xb8, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, // mov rax, 0x123456789abcdef0
    0x48, 0xff, 0xc0,                               // inc rax
    0x66, 0x48, 0x0f, 0x6e, 0xc0,                   // movq xmm0, rax
    0x66, 0x0f, 0xd4, 0xc0,                         // paddq xmm0, xmm0
    0x66, 0x48, 0x0f, 0x7e, 0xc3,                   // movq rbx, xmm0
    0xf4,                                           // hlt
];

/// Null, 32-bit code, 64-bit code, data.
const DESCRIPTORS: [u64; 4] =
    [0, 0x00cf_9b00_0000_ffff, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// Whether the processor virtualises: it offers VMX or SVM. A KVM without is paravirtual.
pub(super) fn hardware() -> Result<(), Unavailable> {
    let vmx = __cpuid(1).ecx >> 5 & 1 != 0;
    let svm = __cpuid(0x8000_0000).eax > 0x8000_0000 && __cpuid(0x8000_0001).ecx >> 2 & 1 != 0;
    if vmx || svm {
        return Ok(());
    }
    let why = "the processor offers neither VMX nor SVM, so this KVM is paravirtual and emulates \
               kernel mode, slowly";
    Err(Unavailable::Unfit(why.to_owned()))
}

/// Runs the program on `vcpu`, whose state is anything afterwards.
///
/// # Errors
/// How far it came.
pub(super) fn run(vcpu: &mut KvmVcpu, ram: &GuestRam) -> Result<(), Unavailable> {
    let mut saved = vec![0; BYTES];
    let unfit = |error: &dyn std::fmt::Display| Unavailable::Unfit(format!("self-check: {error}"));
    ram.read(START, &mut saved).map_err(|error| unfit(&error))?;
    let result =
        ram.write(START, &image()).map_err(|error| unfit(&error)).and_then(|()| run_loaded(vcpu));
    ram.write(START, &saved).map_err(|error| unfit(&error))?;
    result
}

fn run_loaded(vcpu: &mut KvmVcpu) -> Result<(), Unavailable> {
    let mut state = CpuState::reset(0);
    state.segments[SegmentRegister::Cs].base = 0;
    state.segments[SegmentRegister::Cs].selector = 0;
    state.control.cr0 = Cr0Flags::EXTENSION_TYPE;
    state.rip = START;
    vcpu.set_deadline(vcpu.clock.now_ns(0).saturating_add(LIMIT_NS));
    let exit = vcpu.set_state(&state).and_then(|()| vcpu.run(u64::MAX));
    vcpu.set_deadline(u64::MAX);
    let end = vcpu.state();
    let answer = end.as_ref().map(|end| end.gpr[Register::Rbx]);
    match exit {
        Ok(Exit::Halted) if answer == Ok(ANSWER) => Ok(()),
        exit => Err(Unavailable::Unfit(format!(
            "this KVM fails the self-check in {}: {}",
            end.as_ref().map_or("an unknown mode", mode),
            match exit {
                Ok(exit) => format!("{exit:?} with {answer:x?}"),
                Err(error) => error.to_string(),
            }
        ))),
    }
}

fn mode(state: &CpuState) -> &'static str {
    match (state.protected(), state.bitness()) {
        (false, _) => "real mode",
        (true, 64) => "64-bit mode",
        (true, _) => "protected mode",
    }
}

/// The program and its tables, to be placed at [`START`].
fn image() -> Vec<u8> {
    let mut image = vec![0; BYTES];
    let mut put = |address: u64, bytes: &[u8]| {
        let start = (address - START) as usize;
        image[start..start + bytes.len()].copy_from_slice(bytes);
    };
    put(START, PROGRAM);
    // What LGDT reads: limit and base.
    put(GDT - 8, &(size_of_val(&DESCRIPTORS) as u16 - 1).to_le_bytes());
    put(GDT - 6, &(GDT as u32).to_le_bytes());
    for (address, descriptor) in (GDT..).step_by(8).zip(DESCRIPTORS) {
        put(address, &descriptor.to_le_bytes());
    }
    // Present and writable; the first 2 MiB as one page.
    put(PML4, &(PAGE_DIRECTORY_POINTERS | 3).to_le_bytes());
    put(PAGE_DIRECTORY_POINTERS, &(PAGE_DIRECTORY | 3).to_le_bytes());
    put(PAGE_DIRECTORY, &0x83_u64.to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monovisor_core::Vcpu;

    use super::*;
    use crate::clock::VmClock;
    use crate::memory::layout;

    /// The program itself is right: a processor that works passes.
    #[test]
    fn the_interpreter_passes() {
        let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).expect("memory"));
        ram.write(START, &image()).expect("RAM");
        let mut vcpu = Vcpu::new(ram, Arc::new(VmClock::new(true)), 0);
        let mut state = CpuState::reset(0);
        state.segments[SegmentRegister::Cs].base = 0;
        state.rip = START;
        vcpu.set_state(&state);
        assert_eq!(vcpu.run(100), Exit::Halted);
        assert_eq!(vcpu.state().gpr[Register::Rbx], ANSWER);
        assert_eq!(mode(vcpu.state()), "64-bit mode");
    }
}

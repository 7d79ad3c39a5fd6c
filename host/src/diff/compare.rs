//! Two states, two memories, two accesses to devices: what is different.

use monovisor_core::state::{Register, SegmentRegister};
use monovisor_core::{Access, CpuState};

use crate::memory::GuestRam;

/// Bytes that are compared at a time.
const CHUNK: usize = 64 << 10;
/// Differences in memory that are listed.
const MAX_LISTED: usize = 4;

/// One value that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The manual's name of what differs.
    pub what: String,
    /// What the interpreter has.
    pub interpreter: String,
    /// What KVM has.
    pub kvm: String,
}

/// A device access that an instruction makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Where, and how wide.
    pub access: Access,
    /// What was written; none for a read.
    pub written: Option<u64>,
}

/// What differs between two states.
pub fn states(interpreter: &CpuState, kvm: &CpuState) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut number = |what: &str, left: u64, right: u64| {
        if left != right {
            differences.push(Difference {
                what: what.to_owned(),
                interpreter: format!("{left:#x}"),
                kvm: format!("{right:#x}"),
            });
        }
    };
    for register in Register::ALL {
        number(register.name(), interpreter.gpr[register], kvm.gpr[register]);
    }
    number("rip", interpreter.rip, kvm.rip);
    number("rflags", interpreter.rflags.bits(), kvm.rflags.bits());
    for register in SegmentRegister::ALL {
        let (left, right) = (&interpreter.segments[register], &kvm.segments[register]);
        let name = register.name();
        number(name, left.selector.into(), right.selector.into());
        // A null selector's hidden part is whatever the processor leaves there.
        if left.access.unusable() && right.access.unusable() {
            continue;
        }
        number(&format!("{name}.base"), left.base, right.base);
        number(&format!("{name}.limit"), left.limit.into(), right.limit.into());
        number(&format!("{name}.access"), left.access.0.into(), right.access.0.into());
    }
    for (name, left, right) in
        [("gdtr", interpreter.gdtr, kvm.gdtr), ("idtr", interpreter.idtr, kvm.idtr)]
    {
        number(&format!("{name}.base"), left.base, right.base);
        number(&format!("{name}.limit"), left.limit.into(), right.limit.into());
    }
    let (left, right) = (&interpreter.control, &kvm.control);
    number("cr0", left.cr0.bits(), right.cr0.bits());
    number("cr2", left.cr2, right.cr2);
    number("cr3", left.cr3, right.cr3);
    number("cr4", left.cr4.bits(), right.cr4.bits());
    number("efer", left.efer.bits(), right.efer.bits());
    number("xcr0", left.xcr0.bits(), right.xcr0.bits());
    for (index, (left, right)) in
        (0..).zip(interpreter.debug.address.into_iter().zip(kvm.debug.address))
    {
        number(&format!("dr{index}"), left, right);
    }
    number("dr7", interpreter.debug.dr7, kvm.debug.dr7);
    let (left, right) = (&interpreter.msr, &kvm.msr);
    number("IA32_STAR", left.star, right.star);
    number("IA32_LSTAR", left.lstar, right.lstar);
    number("IA32_FMASK", left.fmask, right.fmask);
    number("IA32_KERNEL_GS_BASE", left.kernel_gs_base, right.kernel_gs_base);
    number("IA32_SYSENTER_CS", left.sysenter_cs, right.sysenter_cs);
    number("IA32_APIC_BASE", left.apic_base, right.apic_base);
    let (left, right) = (&interpreter.fpu, &kvm.fpu);
    number("mxcsr", left.mxcsr.into(), right.mxcsr.into());
    number("FCW", left.control_word.into(), right.control_word.into());
    number("FSW", left.status_word.into(), right.status_word.into());
    number("FTW", left.tag_word.into(), right.tag_word.into());
    for (name, left, right) in [
        ("xmm", &left.xmm[..], &right.xmm[..]),
        ("upper half of ymm", &left.ymm_high, &right.ymm_high),
        ("st", &left.st, &right.st),
    ] {
        for (index, (left, right)) in left.iter().zip(right).enumerate() {
            if left != right {
                differences.push(Difference {
                    what: format!("{name}{index}"),
                    interpreter: format!("{left:#034x}"),
                    kvm: format!("{right:#034x}"),
                });
            }
        }
    }
    if interpreter.activity != kvm.activity {
        differences.push(Difference {
            what: "activity".to_owned(),
            interpreter: format!("{:?}", interpreter.activity),
            kvm: format!("{:?}", kvm.activity),
        });
    }
    differences
}

/// What differs between the device accesses of one instruction.
pub fn accesses(interpreter: &[DeviceAccess], kvm: &[DeviceAccess]) -> Option<Difference> {
    let tell = |accesses: &[DeviceAccess]| {
        let tell = |DeviceAccess { access, written }: &DeviceAccess| match written {
            Some(value) => format!("write {:?} {:#x} = {value:#x}", access.space, access.address),
            None => format!("read {:?} {:#x}", access.space, access.address),
        };
        let told: Vec<_> = accesses.iter().map(tell).collect();
        if told.is_empty() { "none".to_owned() } else { told.join(", ") }
    };
    (interpreter != kvm).then(|| Difference {
        what: "device accesses".to_owned(),
        interpreter: tell(interpreter),
        kvm: tell(kvm),
    })
}

/// What differs between two memories of the same size; some of it, if it is much.
pub fn memories(interpreter: &GuestRam, kvm: &GuestRam) -> Vec<Difference> {
    let mut differences = Vec::new();
    each_chunk(interpreter, kvm, |address, left, right| {
        let words = left.chunks(8).zip(right.chunks(8)).zip((address..).step_by(8));
        for ((left, right), address) in words.filter(|((left, right), _)| left != right) {
            if differences.len() < MAX_LISTED {
                let value = |bytes: &[u8]| {
                    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
                };
                differences.push(Difference {
                    what: format!("memory at {address:#x}"),
                    interpreter: format!("{:#018x}", value(left)),
                    kvm: format!("{:#018x}", value(right)),
                });
            }
        }
    });
    differences
}

/// Makes the second memory like the first.
pub fn copy_memory(from: &GuestRam, to: &GuestRam) {
    each_chunk(from, to, |address, bytes, _| {
        // Both have the same ranges, so it fits.
        let _ = to.write(address, bytes);
    });
}

/// Calls `different` with the chunks that differ.
fn each_chunk(left: &GuestRam, right: &GuestRam, mut different: impl FnMut(u64, &[u8], &[u8])) {
    let (mut of_left, mut of_right) = (vec![0; CHUNK], vec![0; CHUNK]);
    for range in crate::memory::layout::ram_ranges(left.size_bytes()) {
        for address in range.clone().step_by(CHUNK) {
            let length = CHUNK.min((range.end - address) as usize);
            let (of_left, of_right) = (&mut of_left[..length], &mut of_right[..length]);
            let read = left.read(address, of_left).and_then(|()| right.read(address, of_right));
            if read.is_ok() && of_left != of_right {
                different(address, of_left, of_right);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::layout::MIN_RAM_BYTES;

    #[test]
    fn every_register_that_differs_is_named() {
        let state = CpuState::reset(0);
        assert_eq!(states(&state, &state), []);
        let mut other = state.clone();
        other.gpr[Register::R9] = 1;
        other.segments[SegmentRegister::Fs].base = 16;
        other.fpu.xmm[3] = 1;
        other.fpu.ymm_high[4] = 1;
        let named: Vec<_> = states(&state, &other).into_iter().map(|found| found.what).collect();
        assert_eq!(named, ["r9", "fs.base", "xmm3", "upper half of ymm4"]);
    }

    #[test]
    fn memory_is_compared_and_copied() {
        let [left, right] = [(); 2].map(|()| GuestRam::new(MIN_RAM_BYTES).expect("memory"));
        left.write(0x1_2340, &[1, 2]).expect("RAM");
        let found = memories(&left, &right);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "memory at 0x12340");
        assert_eq!(found[0].interpreter, "0x0000000000000201");
        copy_memory(&left, &right);
        assert_eq!(memories(&left, &right), []);
    }
}

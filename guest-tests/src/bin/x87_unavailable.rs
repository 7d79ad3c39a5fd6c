//! What makes the x87 unit unavailable: CR0.EM and CR0.TS are #NM for its instructions, and CR0.MP
//! and TS together for FWAIT (SDM, Conditions for #NM; WAIT/FWAIT).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cr0, set_cr0};
use guest_tests::interrupt::vector::NM;
use guest_tests::register::cr0::{EM, MP, TS};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

/// The vector of an instruction while CR0 has these of the three bits. In between, nothing but
/// assembly.
macro_rules! vector_with {
    ($bits:expr, $instruction:literal) => {{
        let old = cr0();
        // SAFETY: CR0 is put back, here or below.
        let fault = catch(|| unsafe {
            asm!(
                "mov cr0, {new}",
                $instruction,
                "mov cr0, {old}",
                new = in(reg) old & !(MP | EM | TS) | $bits,
                old = in(reg) old,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            )
        });
        // SAFETY: as it was.
        unsafe { set_cr0(old) };
        fault.map(|frame| frame.vector)
    }};
}

fn main() {
    let unavailable = Some(u64::from(NM));
    check_eq!(vector_with!(0, "fld1"), None);
    check_eq!(vector_with!(MP, "fld1"), None, "CR0.MP");
    check_eq!(vector_with!(TS, "fld1"), unavailable, "CR0.TS");
    check_eq!(vector_with!(EM, "fld1"), unavailable, "CR0.EM");
    check_eq!(vector_with!(TS, "fninit"), unavailable, "CR0.TS, an instruction that does not wait");
    check_eq!(vector_with!(EM, "fnop"), unavailable, "CR0.EM, an instruction that does nothing");
    check_eq!(vector_with!(MP, "fwait"), None, "FWAIT, CR0.MP");
    check_eq!(vector_with!(TS, "fwait"), None, "FWAIT, CR0.TS");
    check_eq!(vector_with!(EM, "fwait"), None, "FWAIT, CR0.EM");
    check_eq!(vector_with!(MP | TS, "fwait"), unavailable, "FWAIT, CR0.MP and TS");
    // SAFETY: the unit is as any code expects it.
    unsafe { asm!("fninit") };
}

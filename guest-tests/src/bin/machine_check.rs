//! The machine-check architecture, as a kernel sets it up: what CPUID offers can be switched on in CR4, each
//! bank takes a mask of its errors, and there are none to tell of (SDM, Machine-Check Initialization).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::cpu::{cpuid, cr4, rdmsr, set_cr4, wrmsr};
use guest_tests::register::cr4::MCE;
use guest_tests::register::msr::{IA32_MC0_CTL, IA32_MCG_CAP, IA32_MCG_CTL, IA32_MCG_STATUS};

guest_tests::entry!(main);

/// In IA32_MCG_CAP: the number of banks, and that there is IA32_MCG_CTL.
const BANKS: u64 = 0xff;
const MCG_CTL_P: u64 = 1 << 8;

fn main() {
    let offered = cpuid(1, 0).edx;
    check_eq!((offered >> 7 & 1, offered >> 14 & 1), (1, 1), "MCE and MCA");
    let capabilities = rdmsr(IA32_MCG_CAP);
    let banks = (capabilities & BANKS) as u32;
    // No register of a bank may lie beyond those that are architectural.
    assert!((1..=32).contains(&banks), "{banks} banks");
    check_eq!(rdmsr(IA32_MCG_STATUS), 0, "no machine check is in progress");
    if capabilities & MCG_CTL_P != 0 {
        keeps(IA32_MCG_CTL, "IA32_MCG_CTL");
    }
    for bank in 0..banks {
        let control = IA32_MC0_CTL + 4 * bank;
        keeps(control, "IA32_MCi_CTL");
        check_eq!(rdmsr(control + 1), 0, "IA32_MCi_STATUS");
        // SAFETY: nothing is there to be cleared.
        unsafe { wrmsr(control + 1, 0) };
        check_eq!(rdmsr(control + 1), 0, "IA32_MCi_STATUS, cleared");
    }
    // SAFETY: nothing is in progress.
    unsafe { wrmsr(IA32_MCG_STATUS, 0) };
    // SAFETY: nothing fails; what had failed would now have a handler.
    unsafe { set_cr4(cr4() | MCE) };
    check_eq!(cr4() & MCE, MCE);
    // SAFETY: as before it was set.
    unsafe { set_cr4(cr4() & !MCE) };
    check_eq!(cr4() & MCE, 0);
}

/// Switches all errors of a mask off and on.
fn keeps(register: u32, what: &str) {
    for value in [0, u64::MAX] {
        // SAFETY: it says of which errors one would be told.
        unsafe { wrmsr(register, value) };
        check_eq!(rdmsr(register), value, "{what}");
    }
}

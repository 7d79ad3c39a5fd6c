//! Of two things that make SSE unavailable, #UD goes before #NM (SDM, Action Taken for Combinations of
//! OSFXSR, EM and TS).
//@ qemu: differs: QEMU 7.2 looks at CR0.TS first; SDM, Action Taken for Combinations of OSFXSR, OSXMMEXCPT, SSE, EM, MP, and TS: with EM set or OSFXSR clear it is #UD whatever TS is

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::UD;
use guest_tests::register::cr0::{EM, TS};
use guest_tests::register::cr4::OSFXSR;
use guest_tests::sse::vector_with;

guest_tests::entry!(main);

fn main() {
    check_eq!(vector_with(TS | EM, 0), Some(u64::from(UD)), "CR0.TS and CR0.EM");
    check_eq!(vector_with(TS, OSFXSR), Some(u64::from(UD)), "CR0.TS and no CR4.OSFXSR");
}

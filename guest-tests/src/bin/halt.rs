//! HLT sleeps until an interrupt, whose frame points behind the HLT; one that was pending already wakes it
//! at once (SDM, HLT).

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::apic;
use guest_tests::device::apic::register::{DIVIDE, INITIAL_COUNT, LVT_TIMER};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const VECTOR: u8 = 0x44;
static RIP: AtomicU64 = AtomicU64::new(0);

fn note(frame: &mut Frame) {
    RIP.store(frame.rip, Relaxed);
    apic::end_of_interrupt();
}

macro_rules! halt {
    ($($line:literal),+) => {{
        let behind: u64;
        // SAFETY: an interrupt ends the HLT, and its handler keeps all registers.
        unsafe {
            asm!("lea {behind}, [rip + 2f]", $($line,)+ "hlt", "2: cli", behind = out(reg) behind)
        };
        check_eq!(RIP.swap(0, Relaxed), behind, "RIP");
    }};
}

fn main() {
    apic::init();
    set_handler(VECTOR, note);
    apic::write(DIVIDE, apic::BY_ONE);
    apic::write(LVT_TIMER, VECTOR.into());
    for _ in 0..10 {
        apic::write(INITIAL_COUNT, 200_000);
        halt!("sti");
    }
    apic::send(apic::TO_SELF | u32::from(VECTOR));
    halt!("sti");
}

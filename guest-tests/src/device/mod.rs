//! The platform's devices, as far as several tests program them. Port accesses are safe functions
//! here: a guest owns its machine, and no device of it writes to memory.

pub mod apic;
pub mod cmos;
pub mod disk;
pub mod io_apic;
pub mod pic;
pub mod pit;
pub mod port;
pub mod serial;
pub mod sleeping_disk;

use x86_64::instructions::interrupts;

/// Sleeps until `condition` holds, which an interrupt handler makes true. Interrupts are on only
/// while the processor sleeps, and off when this returns.
pub fn halt_until(condition: impl Fn() -> bool) {
    interrupts::disable();
    while !condition() {
        // STI's shadow covers the HLT: an interrupt that is pending already wakes it.
        interrupts::enable_and_hlt();
        interrupts::disable();
    }
}

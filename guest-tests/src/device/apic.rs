//! The local APIC in both its modes (SDM, Advanced Programmable Interrupt Controller).

use crate::cpu::{rdmsr, wrmsr};

/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1b;
/// IA32_APIC_BASE: x2APIC mode.
pub const X2APIC_ENABLE: u64 = 1 << 10;
/// IA32_APIC_BASE: the APIC is on.
pub const APIC_ENABLE: u64 = 1 << 11;

/// Registers by their offset in the page of xAPIC mode.
#[allow(missing_docs, reason = "the names are the manual's")]
pub mod register {
    pub const ID: u32 = 0x20;
    pub const VERSION: u32 = 0x30;
    pub const TPR: u32 = 0x80;
    pub const PPR: u32 = 0xa0;
    pub const EOI: u32 = 0xb0;
    pub const LDR: u32 = 0xd0;
    pub const DFR: u32 = 0xe0;
    pub const SPURIOUS: u32 = 0xf0;
    pub const ISR: u32 = 0x100;
    pub const IRR: u32 = 0x200;
    pub const ESR: u32 = 0x280;
    pub const ICR_LOW: u32 = 0x300;
    pub const ICR_HIGH: u32 = 0x310;
    pub const LVT_TIMER: u32 = 0x320;
    pub const LVT_LINT0: u32 = 0x350;
    pub const INITIAL_COUNT: u32 = 0x380;
    pub const CURRENT_COUNT: u32 = 0x390;
    pub const DIVIDE: u32 = 0x3e0;
}

/// LVT timer mode: periodic.
pub const PERIODIC: u32 = 1 << 17;
/// LVT timer mode: the timer fires when the TSC reaches IA32_TSC_DEADLINE.
pub const DEADLINE: u32 = 2 << 17;
/// LVT: masked.
pub const MASKED: u32 = 1 << 16;
/// Divide configuration: by 1.
pub const BY_ONE: u32 = 0b1011;
/// ICR: to the processor itself.
pub const TO_SELF: u32 = 1 << 18;
/// ICR: to every processor; and to every one but the sender.
pub const TO_ALL: u32 = 2 << 18;
/// See [`TO_ALL`].
pub const TO_OTHERS: u32 = 3 << 18;
/// ICR: logical destination.
pub const LOGICAL: u32 = 1 << 11;
/// ICR: level assert, which INIT needs.
pub const ASSERT: u32 = 1 << 14;
/// ICR: lowest-priority delivery.
pub const LOWEST_PRIORITY: u32 = 1 << 8;
/// ICR: NMI delivery.
pub const NMI: u32 = 4 << 8;
/// ICR: INIT delivery.
pub const INIT: u32 = 5 << 8;
/// ICR: start-up delivery.
pub const START_UP: u32 = 6 << 8;
/// The vector that [`init`] gives to spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xff;

const PAGE: u64 = 0xfee0_0000;

/// Reads a register of xAPIC mode.
pub fn read(register: u32) -> u32 {
    // SAFETY: the page is the APIC's, mapped one to one.
    unsafe { ((PAGE + u64::from(register)) as *const u32).read_volatile() }
}

/// Writes a register of xAPIC mode.
pub fn write(register: u32, value: u32) {
    // SAFETY: as above.
    unsafe { ((PAGE + u64::from(register)) as *mut u32).write_volatile(value) };
}

/// Reads a register of x2APIC mode.
pub fn read_x2(register: u32) -> u64 {
    rdmsr(0x800 + register / 16)
}

/// Writes a register of x2APIC mode.
pub fn write_x2(register: u32, value: u64) {
    // SAFETY: the APIC's registers touch no memory.
    unsafe { wrmsr(0x800 + register / 16, value) };
}

/// Switches the APIC on by its spurious-interrupt register, takes all priorities, and shuts LINT0,
/// so that the PIC is not heard.
pub fn init() {
    write(register::SPURIOUS, 1 << 8 | u32::from(SPURIOUS_VECTOR));
    write(register::TPR, 0);
    write(register::LVT_LINT0, MASKED);
}

/// Switches the APIC on, and lets the PIC through LINT0 (virtual-wire mode), as firmware does.
pub fn init_virtual_wire() {
    const EXT_INT: u32 = 7 << 8;
    init();
    write(register::LVT_LINT0, EXT_INT);
}

/// Ends the service of the interrupt with the highest priority.
pub fn end_of_interrupt() {
    write(register::EOI, 0);
}

/// Sends an interprocessor interrupt: the low half of the interrupt command register.
pub fn send(command: u32) {
    send_to(0, command);
}

/// Sends an interprocessor interrupt to the APIC with this ID, or of this logical ID.
pub fn send_to(destination: u32, command: u32) {
    /// Delivery status: the last one is still on its way.
    const PENDING: u32 = 1 << 12;
    while read(register::ICR_LOW) & PENDING != 0 {}
    write(register::ICR_HIGH, destination << 24);
    write(register::ICR_LOW, command);
}

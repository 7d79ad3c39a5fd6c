//! The I/O APIC (82093AA), with its two registers at 0xfec00000.

const SELECT: *mut u32 = 0xfec0_0000 as *mut u32;
const WINDOW: *mut u32 = 0xfec0_0010 as *mut u32;
const END_OF_INTERRUPT: *mut u32 = 0xfec0_0040 as *mut u32;

/// Indirect register: identification.
pub const ID: u32 = 0;
/// Indirect register: version, and the last redirection entry's number.
pub const VERSION: u32 = 1;
/// Redirection entry: masked.
pub const MASKED: u64 = 1 << 16;
/// Redirection entry: level-triggered.
pub const LEVEL: u64 = 1 << 15;
/// Redirection entry: a level is being handled.
pub const REMOTE_IRR: u64 = 1 << 14;

/// Reads the indirect register `index`.
pub fn read(index: u32) -> u32 {
    // SAFETY: the registers touch no memory; the page is mapped one to one.
    unsafe {
        SELECT.write_volatile(index);
        WINDOW.read_volatile()
    }
}

/// Writes the indirect register `index`.
pub fn write(index: u32, value: u32) {
    // SAFETY: as above.
    unsafe {
        SELECT.write_volatile(index);
        WINDOW.write_volatile(value);
    }
}

/// Sets the redirection entry of `pin`; the half with the mask is written last.
pub fn redirect(pin: u32, entry: u64) {
    write(0x11 + 2 * pin, (entry >> 32) as u32);
    write(0x10 + 2 * pin, entry as u32);
}

/// Ends the handling of a level-triggered interrupt, from version 0x20 on.
pub fn end_of_interrupt(vector: u8) {
    // SAFETY: as above.
    unsafe { END_OF_INTERRUPT.write_volatile(vector.into()) };
}

/// The redirection entry of `pin`.
pub fn redirection(pin: u32) -> u64 {
    u64::from(read(0x11 + 2 * pin)) << 32 | u64::from(read(0x10 + 2 * pin))
}

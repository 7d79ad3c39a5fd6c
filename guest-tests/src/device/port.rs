//! IN and OUT.

use x86_64::instructions::port::{Port, PortRead, PortWrite};

/// IN of the width that is asked for: `u8`, `u16` or `u32`.
pub fn read<T: PortRead>(port: u16) -> T {
    // SAFETY: a port access touches no memory of Rust's; see the module above.
    unsafe { Port::new(port).read() }
}

/// OUT of the value's width.
pub fn write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: as above.
    unsafe { Port::new(port).write(value) };
}

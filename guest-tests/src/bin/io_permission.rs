//! IN and OUT in user mode: allowed when CPL ≤ IOPL, else when every port of the access has a zero bit in
//! the TSS's I/O bitmap, else #GP(0) (SDM, I/O Permission Bit Map).
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::GP;
use guest_tests::register::rflags::IOPL;
use guest_tests::segment::{IO_BITMAP_OFFSET, tss};
use guest_tests::user::{self, Context};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

const ALLOWED: (u64, u64) = (0x80, 0);
const DENIED: (u64, u64) = (GP as u64, 0);
/// Nothing answers here; what is allowed reads all ones.
const PORT: u16 = 0x1230;

fn main() {
    check_eq!(read_byte(PORT, 2), DENIED, "IOPL 0, no bitmap");
    check_eq!(read_byte(PORT, 2 | IOPL), ALLOWED, "IOPL 3");
    check_eq!(read_byte(PORT, 2 | 2 << 12), DENIED, "IOPL 2");

    set_bitmap_base(IO_BITMAP_OFFSET);
    check_eq!(read_byte(PORT, 2), DENIED, "all bits set");
    set_denied(PORT, false);
    check_eq!(read_byte(PORT, 2), ALLOWED, "bit clear");
    check_eq!(read_byte(PORT + 1, 2), DENIED, "the next port's bit set");
    check_eq!(read_word(PORT), DENIED, "a word needs both bits");
    set_denied(PORT + 1, false);
    check_eq!(read_word(PORT), ALLOWED, "both bits clear");
    set_denied(PORT + 7, false);
    set_denied(PORT + 8, false);
    check_eq!(read_word(PORT + 7), ALLOWED, "bits of two bytes of the map");
    set_denied(PORT + 8, true);
    check_eq!(read_word(PORT + 7), DENIED, "one bit of two bytes of the map");
    set_denied(0xffff, false);
    check_eq!(read_byte(0xffff, 2), ALLOWED, "the last port");
    check_eq!(read_word(0xffff), DENIED, "the byte behind the map is all ones");

    set_bitmap_base(0xffff);
    check_eq!(read_byte(PORT, 2), DENIED, "the map lies beyond the limit");
}

fn read_byte(port: u16, rflags: u64) -> (u64, u64) {
    user::map(snippet!("mov edx, edi", "in al, dx", "int 0x80"));
    user::run(Context { rflags, rdi: port.into(), ..Context::default() }).fault()
}

fn read_word(port: u16) -> (u64, u64) {
    user::map(snippet!("mov edx, edi", "in ax, dx", "int 0x80"));
    user::run(Context { rdi: port.into(), ..Context::default() }).fault()
}

fn set_bitmap_base(offset: u16) {
    // SAFETY: one processor, and it reads the TSS only when it needs it.
    unsafe { (*tss()).io_bitmap_base = offset };
}

fn set_denied(port: u16, is_denied: bool) {
    let (byte, bit) = (usize::from(port / 8), 1 << (port % 8));
    // SAFETY: as above.
    let map = unsafe { &mut (*tss()).io_bitmap[byte] };
    *map = if is_denied { *map | bit } else { *map & !bit };
}

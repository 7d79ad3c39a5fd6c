//! 32-bit paging: tables of 4-byte entries, pages of 4 MiB with CR4.PSE, their address bits above 32
//! (PSE-36), the bit that is reserved in them, accessed and dirty flags (SDM, 32-Bit Paging).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::cpu::cpuid;
use guest_tests::legacy::step::{self, Action::*, Step};
use guest_tests::register::cr4;
use guest_tests::{check_eq, paging};

guest_tests::entry!(main);

const P: u32 = 1;
const W: u32 = 2;
const A: u32 = 1 << 5;
const D: u32 = 1 << 6;
const PS: u32 = 1 << 7;

/// Bytes of a large page.
const LARGE: u32 = 4 << 20;
/// The linear address of the first directory entry that is not one to one.
const AREA: u32 = 0x100 * LARGE;

fn main() {
    assert!(cpuid(1, 0).edx & 1 << 17 != 0, "CPUID offers no PSE-36");
    let [directory, table, page] = [(); 3].map(|()| paging::frame() as *mut u32);
    // SAFETY: all are new.
    let put = |table: *mut u32, index: usize, entry: u32| unsafe {
        table.add(index).write_volatile(entry);
    };
    let (base, within) = (page as u32 & !(LARGE - 1), page as u32 & (LARGE - 1));
    for index in 0..0x100 {
        put(directory, index, (index as u32 * LARGE) | P | W | PS);
    }
    put(directory, 0x100, table as u32 | P | W);
    put(directory, 0x101, base | P | PS);
    put(directory, 0x102, P | W | PS | 1 << 21);
    // Bits 20:13 are address bits 39:32.
    put(directory, 0x103, base | P | W | PS | 1 << 13);
    put(table, 0, page as u32 | P | W);
    put(table, 1, page as u32 | P);
    put(page, 0, 0x11);
    let rows = [
        (Step::new(Read, AREA), Ok(0x11), "a page of 4 KiB"),
        (Step::with(Write, AREA, 0x22), Ok(0), "a write to it"),
        (Step::new(Read, AREA + LARGE + within), Ok(0x22), "the same in a page of 4 MiB"),
        (Step::with(Write, AREA + LARGE + within, 0x33), Err(0b011), "a read-only page of 4 MiB"),
        (Step::with(Write, AREA + 0x1000, 0x44), Err(0b011), "a read-only page of 4 KiB"),
        (Step::new(Read, AREA + 0x2000), Err(0b000), "no page"),
        (Step::new(Read, AREA + 2 * LARGE), Err(0b1001), "a reserved bit"),
        // 4 GiB further up, where there is no memory.
        (Step::with(Write, AREA + 3 * LARGE + within, 0x55), Ok(0), "a page beyond 4 GiB"),
        (Step::new(Read, page as u32), Ok(0x22), "which is not at its low address bits"),
    ];
    let mut steps = rows.map(|(step, ..)| step);
    step::run(directory as u64, cr4::PSE, &mut steps);
    for (step, (_, expected, what)) in steps.iter().zip(rows) {
        check_eq!(step.result(), expected.map_err(|code| (14, code)), "{what}");
    }
    // SAFETY: both are tables of their own.
    let flags = |table: *mut u32, index| unsafe { table.add(index).read_volatile() & (A | D) };
    check_eq!(flags(directory, 0x100), A, "a page table");
    check_eq!(flags(table, 0), A | D, "a page that was written to");
    check_eq!(flags(table, 1), 0, "a page that a write was refused to");
    check_eq!(flags(directory, 0x101), A, "a large page that was read");
    check_eq!(flags(directory, 0x103), A | D, "a large page that was written to");
}

//! PAE paging: three levels of 8-byte entries, pages of 2 MiB, execute disable, the bits that are reserved,
//! accessed and dirty flags (SDM, PAE Paging).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::legacy::step::{self, Action::*, Step};
use guest_tests::register::cr4;
use guest_tests::{check_eq, paging};

guest_tests::entry!(main);

const P: u64 = 1;
const W: u64 = 2;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const PS: u64 = 1 << 7;
const NX: u64 = 1 << 63;
const RET: u64 = 0xc3;

/// Bytes of a large page.
const LARGE: u32 = 2 << 20;
/// What the second PDPTE maps, the third, and the last.
const AREA: u32 = 1 << 30;
const ABSENT: u32 = 2 << 30;
const LAST: u32 = 0xffff_f000;

fn main() {
    let [pointers, low, high, table, page] = [(); 5].map(|()| paging::frame() as *mut u64);
    // SAFETY: all are new.
    let put = |table: *mut u64, index: usize, entry: u64| unsafe {
        table.add(index).write_volatile(entry);
    };
    put(pointers, 0, low as u64 | P);
    put(pointers, 1, high as u64 | P);
    put(pointers, 3, high as u64 | P);
    for index in 0..512 {
        put(low, index, (index as u64 * u64::from(LARGE)) | P | W | PS);
    }
    put(high, 0, table as u64 | P | W);
    put(high, 1, page as u64 & !(u64::from(LARGE) - 1) | P | PS);
    put(high, 2, P | PS | 1 << 13);
    put(high, 3, table as u64 | P | 1 << 62);
    put(high, 4, table as u64 | P | NX);
    put(high, 511, table as u64 | P | W);
    put(table, 0, page as u64 | P | W);
    put(table, 1, page as u64 | P);
    put(table, 2, page as u64 | P | W | NX);
    put(table, 3, page as u64 | P | 1 << 62);
    put(table, 4, page as u64 | P | 1 << 51);
    put(table, 511, page as u64 | P | W);
    put(page, 0, RET << 8 | 0x11);

    let within = page as u32 & (LARGE - 1);
    let rows = [
        (Step::new(Read, AREA), Ok(0x11), "a page of 4 KiB"),
        (Step::new(Fetch, AREA + 1), Ok(0), "code there"),
        (Step::with(Write, AREA, 0x22), Ok(0), "a write to it"),
        (Step::new(Read, AREA + LARGE + within), Ok(0x22), "the same in a page of 2 MiB"),
        (Step::with(Write, AREA + LARGE + within, 0x33), Err(0b011), "a read-only page of 2 MiB"),
        (Step::with(Write, AREA + 0x1000, 0x44), Err(0b011), "a read-only page of 4 KiB"),
        (Step::new(Read, AREA + 0x2000), Ok(0x22), "data that cannot be executed"),
        (Step::new(Fetch, AREA + 0x2001), Err(0b10001), "and its execution"),
        (Step::new(Read, AREA + 0x3000), Err(0b1001), "bit 62 of a PTE"),
        (Step::new(Fetch, AREA + 0x4000), Err(0b11001), "bit 51 of a PTE"),
        (Step::new(Read, AREA + 0x5000), Err(0b000), "no page"),
        (Step::new(Fetch, AREA + 0x5000), Err(0b10000), "no code"),
        (Step::new(Read, AREA + 2 * LARGE), Err(0b1001), "bit 13 of a large page"),
        (Step::new(Read, AREA + 3 * LARGE), Err(0b1001), "bit 62 of a PDE"),
        (Step::new(Fetch, AREA + 4 * LARGE + 1), Err(0b10001), "a PDE denies execution"),
        (Step::new(Read, ABSENT), Err(0b000), "no PDPTE"),
        (Step::new(Read, LAST), Ok(0x22), "the last page"),
    ];
    let mut steps = rows.map(|(step, ..)| step);
    step::run(pointers as u64, cr4::PAE, &mut steps);
    for (step, (_, expected, what)) in steps.iter().zip(rows) {
        check_eq!(step.result(), expected.map_err(|code| (14, code)), "{what}");
    }
    // SAFETY: they are tables of the guest's own.
    let flags = |table: *mut u64, index| unsafe { table.add(index).read_volatile() & (A | D) };
    check_eq!(flags(pointers, 1), 0, "a PDPTE has no flags");
    check_eq!(flags(high, 0), A, "a page table");
    check_eq!(flags(table, 0), A | D, "a page that was written to");
    check_eq!(flags(table, 1), 0, "a page that a write was refused to");
    check_eq!(flags(table, 3), 0, "an entry with a reserved bit");
    check_eq!(flags(high, 1), A, "a large page that was read");
}

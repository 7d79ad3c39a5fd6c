//! The PDPTE registers of PAE paging: they are loaded by writes to CR3, CR0 and CR4, not looked up in memory,
//! and a reserved bit in them is #GP of that write (SDM, PDPTE Registers).
//@ qemu: differs: QEMU 7.2 looks PDPTEs up in memory at every walk, and checks them there alone
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::legacy::step::{self, Action::*, Step};
use guest_tests::register::cr4;
use guest_tests::{check_eq, paging};

guest_tests::entry!(main);

const P: u32 = 1;
const GP: Result<u32, (u8, u16)> = Err((13, 0));
const ABSENT: Result<u32, (u8, u16)> = Err((14, 0));

/// What the third PDPTE maps, and the fourth.
const THIRD: u32 = 2 << 30;
const FOURTH: u32 = 3 << 30;
const PAGE: u32 = 2 << 20;

fn main() {
    let pointers = paging::frame() as *mut u64;
    let directory = paging::frame() as *mut u64;
    let byte = paging::frame();
    // SAFETY: all are new.
    unsafe {
        pointers.write_volatile(directory as u64 | u64::from(P));
        for index in 0..512 {
            directory.add(index).write_volatile((index as u64 * u64::from(PAGE)) | 0x83);
        }
        (byte as *mut u8).write_volatile(0x77);
    }
    let (at, byte) = (pointers as u32, byte as u32);
    let (third, fourth, last_half) = (at + 16, at + 24, at + 28);
    let present = directory as u32 | P;
    let store = |address, value| (Step::with(Store, address, value), Ok(0), "a store");
    let rows = [
        (Step::new(Read, THIRD | byte), ABSENT, "no PDPTE"),
        store(third, present),
        (Step::new(Read, THIRD | byte), ABSENT, "a change in memory is not loaded"),
        (Step::new(LoadCr3, at), Ok(0), "MOV to CR3"),
        (Step::new(Read, THIRD | byte), Ok(0x77), "loads it"),
        store(third, 0),
        (Step::new(Read, THIRD | (byte + PAGE)), Ok(0), "it stays, for pages not used yet, too"),
        (Step::new(InvertPge, 0), Ok(0), "MOV to CR4"),
        (Step::new(Read, THIRD | byte), ABSENT, "loads it"),
        store(third, present),
        (Step::new(InvertCd, 0), Ok(0), "MOV to CR0"),
        (Step::new(Read, THIRD | byte), Ok(0x77), "loads it"),
        // A reserved bit: the write is refused, and all stays as it was.
        store(fourth, present | 1 << 1),
        (Step::new(LoadCr3, at), GP, "bit 1 and MOV to CR3"),
        (Step::new(InvertPge, 0), GP, "bit 1 and MOV to CR4"),
        (Step::new(InvertCd, 0), GP, "bit 1 and MOV to CR0"),
        (Step::new(Read, THIRD | byte), Ok(0x77), "the registers are as before"),
        (Step::new(Read, FOURTH | byte), ABSENT, "the registers are as before"),
        store(fourth, present | 1 << 2),
        (Step::new(LoadCr3, at), GP, "bit 2"),
        store(fourth, present | 1 << 5),
        (Step::new(LoadCr3, at), GP, "bit 5"),
        store(fourth, present | 1 << 8),
        (Step::new(LoadCr3, at), GP, "bit 8"),
        store(fourth, present),
        store(last_half, 1 << 31),
        (Step::new(LoadCr3, at), GP, "bit 63, even with EFER.NXE"),
        store(last_half, 1 << 20),
        (Step::new(LoadCr3, at), GP, "bit 52"),
        store(last_half, 0),
        store(fourth, 1 << 1 | 1 << 8),
        (Step::new(LoadCr3, at), Ok(0), "an entry that is not present has no reserved bits"),
        store(fourth, present | 7 << 9 | 3 << 3),
        (Step::new(LoadCr3, at), Ok(0), "bits of software's, and cache bits"),
        (Step::new(Read, FOURTH | byte), Ok(0x77), "the fourth"),
        (Step::new(InvertCd, 0), Ok(0), "MOV to CR0"),
        (Step::new(InvertPge, 0), Ok(0), "MOV to CR4"),
    ];
    let mut steps = rows.map(|(step, ..)| step);
    // No step changes the PDPTE that maps the first GiB.
    step::run(pointers as u64, cr4::PAE, &mut steps);
    for (number, (step, (_, expected, what))) in steps.iter().zip(rows).enumerate() {
        check_eq!(step.result(), expected, "step {number}, {what}");
    }
}

//! Sixteen aligned bytes are stored and loaded in one piece, as processors with AVX promise of MOVAPS: alone,
//! beside others and in a copy of several; in a page of data, in one with code beside them, and with a data
//! breakpoint beside them (SDM, Guaranteed Atomic Operations).
//@ cpus: 2
//@ qemu: differs: QEMU 7.2 moves two halves; SDM, Guaranteed Atomic Operations: with AVX an aligned MOVAPS is one access

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use guest_tests::check_eq;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::smp::{self, wait_until};

guest_tests::entry!(main);

const STORES: u32 = 100_000;
/// Where the vector is in its page.
const OFFSET: u64 = 2048;
const RET: u8 = 0xc3;
/// DR7: breakpoints 0 and 1 are on, each on accesses to one byte.
const BREAKPOINTS: u64 = 0b1010 | 0b11 << 16 | 0b11 << 20;

static READY: AtomicBool = AtomicBool::new(false);
static DONE: AtomicBool = AtomicBool::new(false);

/// How a vector is moved.
#[derive(Clone, Copy, Debug)]
enum Way {
    Alone,
    Beside,
    Copy,
}

const WAYS: [Way; 3] = [Way::Alone, Way::Beside, Way::Copy];

/// The pages' addresses: data beside a breakpoint, data beside code and a breakpoint, and data alone.
fn pages() -> [u64; 3] {
    [TEST_AREA, TEST_AREA + 4096, TEST_AREA + 8192]
}

/// Two vectors of memory.
#[repr(align(16))]
struct Pair([u64; 4]);

fn store(way: Way, page: u64, value: u64) {
    let to = page + OFFSET;
    // SAFETY: the page is the test's.
    unsafe {
        match way {
            Way::Alone => asm!("movq xmm0, {value}", "punpcklqdq xmm0, xmm0",
                "movaps [{to}], xmm0",
                value = in(reg) value, to = in(reg) to, out("xmm0") _),
            Way::Beside => asm!("movq xmm0, {value}", "punpcklqdq xmm0, xmm0",
                "movaps [{to} + 16], xmm0", "movaps [{to}], xmm0",
                value = in(reg) value, to = in(reg) to, out("xmm0") _),
            Way::Copy => asm!("movaps xmm0, [{from}]", "movaps xmm1, [{from} + 16]",
                "movaps [{to}], xmm0", "movaps [{to} + 16], xmm1",
                from = in(reg) &Pair([value; 4]), to = in(reg) to, out("xmm0") _, out("xmm1") _),
        }
    }
}

fn load(way: Way, page: u64) -> [u64; 2] {
    let from = page + OFFSET;
    let (low, high);
    let mut pair = Pair([0; 4]);
    // SAFETY: as above.
    unsafe {
        match way {
            Way::Alone => asm!("movaps xmm0, [{from}]",
                "movq {low}, xmm0", "punpckhqdq xmm0, xmm0", "movq {high}, xmm0",
                from = in(reg) from, low = out(reg) low, high = out(reg) high, out("xmm0") _),
            Way::Beside => asm!("movaps xmm1, [{from} + 16]", "movaps xmm0, [{from}]",
                "movq {low}, xmm0", "punpckhqdq xmm0, xmm0", "movq {high}, xmm0",
                from = in(reg) from, low = out(reg) low, high = out(reg) high, out("xmm0") _,
                out("xmm1") _),
            Way::Copy => {
                asm!("movaps xmm0, [{from}]", "movaps xmm1, [{from} + 16]",
                    "movaps [{to}], xmm0", "movaps [{to} + 16], xmm1",
                    from = in(reg) from, to = in(reg) &mut pair, out("xmm0") _, out("xmm1") _);
                [low, high, ..] = pair.0;
            }
        }
    }
    [low, high]
}

fn writer(_: usize) {
    wait_until(|| READY.load(Ordering::Acquire));
    for number in 1..=STORES {
        for page in pages() {
            store(WAYS[number as usize % 3], page, number.into());
        }
    }
    DONE.store(true, Ordering::Release);
}

fn main() {
    for page in pages() {
        paging::map_new(page, KERNEL);
    }
    let [_, code, _] = pages();
    // SAFETY: the page is the test's, and holds a function from now on.
    unsafe {
        (code as *mut u8).write_volatile(RET);
        asm!("call {}", in(reg) code);
    }
    // On a byte of two pages that nobody accesses.
    let [data, code, _] = pages().map(|page| page + 64);
    // SAFETY: they hit nothing.
    unsafe {
        asm!("mov dr0, {}", "mov dr1, {}", "mov dr7, {}", in(reg) data, in(reg) code, in(reg) BREAKPOINTS)
    };
    smp::start_all(writer);
    READY.store(true, Ordering::Release);
    while !DONE.load(Ordering::Acquire) {
        for (page, way) in pages().into_iter().flat_map(|page| WAYS.map(|way| (page, way))) {
            let [low, high] = load(way, page);
            check_eq!(low, high, "the halves of a vector, {way:?}");
        }
    }
}

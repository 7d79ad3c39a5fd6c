//! What the TLB-miss path costs: a measurement, ignored among the tests. To be run by name:
//! `cargo test --release -p monovisor-core cost -- --ignored --nocapture`.

use super::*;
use AccessKind::{Read, Write};
use std::time::Instant;

const PAGES: u64 = 16384; // 64 MiB

fn big() -> Guest {
    let guest = Guest::with_memory(80 << 20, u64::MAX);
    for pd in 0..32u64 {
        guest.poke(PD + pd * 8, (0x10_0000 + pd * 0x1000) | P | W | U);
    }
    for page in 0..PAGES {
        guest.poke(0x10_0000 + page * 8, (0x40_0000 + page * 0x1000) | P | W | U);
    }
    guest
}

fn measure(name: &str, count: u64, mut run: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_nanos() as f64 / count as f64);
    }
    std::eprintln!("{name:40} {best:7.2} ns");
}

#[test]
#[ignore = "a measurement"]
fn cost() {
    let mut guest = big();
    let Guest { mmu, state, memory } = &mut guest;
    measure("fill, 64 MiB at random, 4 KiB pages", 1 << 18, || {
        let mut page = 1u64;
        for _ in 0..1 << 18 {
            page = page.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            assert!(mmu.fill(state, (page >> 50) << 12, Read).unwrap());
        }
    });
    measure("write fill, the same", 1 << 18, || {
        let mut page = 1u64;
        for _ in 0..1 << 18 {
            page = page.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            assert!(mmu.fill(state, (page >> 50) << 12, Write).unwrap());
        }
    });
    measure("fill, 1 MiB in order", 1 << 18, || {
        for page in 0..1u64 << 18 {
            assert!(mmu.fill(state, (page & 255) << 12, Read).unwrap());
        }
    });
    measure("fill after INVLPG", 1 << 18, || {
        for page in 0..1u64 << 18 {
            let linear = (page & 255) << 12;
            mmu.flush_page(linear);
            assert!(mmu.fill(state, linear, Read).unwrap());
        }
    });
    measure("MOV CR3 and 8 fills", 1 << 14, || {
        for page in 0..1u64 << 14 {
            mmu.flush_non_global();
            for other in 0..8 {
                assert!(mmu.fill(state, ((page + other) & 255) << 12, Read).unwrap());
            }
        }
    });
    measure("flush of an empty TLB", 1 << 18, || {
        for _ in 0..1 << 18 {
            mmu.flush_all();
        }
    });
    measure("update_mode", 1 << 20, || {
        for _ in 0..1 << 20 {
            mmu.update_mode(std::hint::black_box(state));
        }
    });
    measure("read, hit", 1 << 20, || {
        for index in 0..1u64 << 20 {
            let value = mmu.read::<u64>(state, index & 0x7ff8, Privilege::Current);
            std::hint::black_box(value).unwrap();
        }
    });
    let page = memory.page(0x40_0000).expect("RAM");
    measure("the same loads without an Mmu", 1 << 18, || {
        let mut page_number = 1u64;
        for _ in 0..1 << 18 {
            let offset = (page_number >> 50) << 12 | page_number >> 20 & 0xff8;
            // SAFETY: within RAM.
            let value = unsafe { u64::load(page.pointer.as_ptr().add(offset as usize)) };
            page_number = (page_number + value).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        }
    });
    measure("read, chased over 64 MiB", 1 << 18, || {
        let mut page = 1u64;
        for _ in 0..1 << 18 {
            let value =
                mmu.read::<u64>(state, (page >> 50) << 12 | page >> 20 & 0xff8, Privilege::Current);
            page = (page + value.unwrap()).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        }
    });
    measure("not-present fault", 1 << 18, || {
        for index in 0..1u64 << 18 {
            assert!(mmu.fill(state, 1 << 30 | index << 12, Read).is_err());
        }
    });
}

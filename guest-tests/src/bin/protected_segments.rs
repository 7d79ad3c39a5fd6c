//! Segments of protected mode: what a load checks, and what an access does, of limits, types and expand-down
//! segments, in the order in which the 80386 has them (SDM, Protected-Mode Segment Checks: Limit, Type,
//! Privilege Level Checking When Accessing Data Segments).
//@ qemu: differs: QEMU 7.2 checks neither limits nor types of segments on access
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM does not check limits

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, NP, SS, UD};
use guest_tests::legacy::{BEYOND, CODE, Context, DATA, FREE, Legacy, TASK, flat, kind, segment};

guest_tests::entry!(main);

const THROUGH: (u8, u32) = (UD, 0);
/// Instructions, each with UD2 behind it.
const MOV_DS_EAX: [u8; 4] = [0x8e, 0xd8, 0x0f, 0x0b];
const MOV_SS_EAX: [u8; 4] = [0x8e, 0xd0, 0x0f, 0x0b];
const READ_BYTE: [u8; 4] = [0x8a, 0x0b, 0x0f, 0x0b];
const READ_WORD: [u8; 5] = [0x66, 0x8b, 0x0b, 0x0f, 0x0b];
const READ_LONG: [u8; 4] = [0x8b, 0x0b, 0x0f, 0x0b];
const WRITE_LONG: [u8; 4] = [0x89, 0x0b, 0x0f, 0x0b];
const CODE_READ: [u8; 5] = [0x2e, 0x8b, 0x0b, 0x0f, 0x0b];
const CODE_WRITE: [u8; 5] = [0x2e, 0x89, 0x0b, 0x0f, 0x0b];
const PUSH_EAX: [u8; 3] = [0x50, 0x0f, 0x0b];

fn main() {
    loads();
    limits();
    expand_down();
    types();
    stacks();
    fetches();
}

fn loads() {
    let at = u32::from(FREE);
    let level_3 = kind::LEVEL_3;
    // CPL, selector, descriptor; what a load of DS raises, and one of SS.
    let rows = [
        (0, FREE, kind::DATA, THROUGH, THROUGH),
        (0, FREE, kind::READ_ONLY, THROUGH, (GP, at)),
        (0, FREE, kind::CODE, THROUGH, (GP, at)),
        (0, FREE, kind::EXECUTE_ONLY, (GP, at), (GP, at)),
        (0, FREE, kind::LOCAL, (GP, at), (GP, at)),
        (0, FREE, kind::DATA & kind::ABSENT, (NP, at), (SS, at)),
        (0, FREE, kind::DATA | level_3, THROUGH, (GP, at)),
        (0, FREE | 3, kind::DATA | level_3, THROUGH, (GP, at)),
        (0, FREE | 1, kind::DATA, (GP, at), (GP, at)),
        (3, FREE | 3, kind::DATA | level_3, THROUGH, THROUGH),
        (3, FREE, kind::DATA | level_3, THROUGH, (GP, at)),
        (3, FREE | 3, kind::DATA, (GP, at), (GP, at)),
        (3, FREE | 3, kind::CONFORMING, THROUGH, (GP, at)),
        (3, FREE | 3, kind::CODE, (GP, at), (GP, at)),
        (0, 0, 0, THROUGH, (GP, 0)),
        (0, 3, 0, THROUGH, (GP, 0)),
        (0, BEYOND, 0, (GP, BEYOND.into()), (GP, BEYOND.into())),
        // In the local table: the last descriptor, and the first beyond it.
        (0, 0x7c, kind::DATA, THROUGH, THROUGH),
        (0, 0x84, kind::DATA, (GP, 0x84), (GP, 0x84)),
        (0, TASK, 0, (GP, TASK.into()), (GP, TASK.into())),
    ];
    for (cpl, selector, rights, data, stack) in rows {
        let context = if cpl == 0 { Context::LEVEL_0 } else { Context::LEVEL_3 };
        let context = Context { registers: [selector.into(), 0, 0, 0], ..context };
        for (code, expected) in [(MOV_DS_EAX, data), (MOV_SS_EAX, stack)] {
            let mut legacy = Legacy::new();
            if rights != 0 {
                legacy.describe(selector, flat(rights));
            }
            let caught = legacy.run(&context, &code);
            check_eq!(caught.fault(), expected, "{selector:#x} at {cpl} with rights {rights:#x}");
        }
    }
    // Accessed is set by the load.
    let mut legacy = Legacy::new();
    legacy.describe(FREE, flat(kind::DATA & !1));
    let context = Context { registers: [FREE.into(), 0, 0, 0], ..Context::LEVEL_0 };
    check_eq!(legacy.run(&context, &MOV_DS_EAX).fault(), THROUGH);
    check_eq!(legacy.descriptor(FREE), flat(kind::DATA));
}

/// Runs an access through DS to the segment at `FREE`, with EBX as offset.
fn access(descriptor: u64, offset: u32, code: &[u8]) -> (u8, u32) {
    let mut legacy = Legacy::new();
    legacy.describe(FREE, descriptor);
    let registers = [0, offset, 0, 0];
    let caught = legacy.run(&Context { ds: FREE, registers, ..Context::LEVEL_0 }, code);
    caught.fault()
}

fn limits() {
    let small = |limit| segment(DATA, limit, kind::DATA, (true, false));
    let pages = |limit| segment(DATA, limit, kind::DATA, (true, true));
    for (descriptor, offset, code, through) in [
        (small(0xff), 0xff, &READ_BYTE[..], true),
        (small(0xff), 0x100, &READ_BYTE, false),
        (small(0xff), 0xfe, &READ_WORD, true),
        (small(0xff), 0xff, &READ_WORD, false),
        (small(0xff), 0xfc, &READ_LONG, true),
        (small(0xff), 0xfd, &READ_LONG, false),
        (small(0xff), 0xfc, &WRITE_LONG, true),
        (small(0xff), 0xfd, &WRITE_LONG, false),
        (small(0xff), 0xffff_ffff, &READ_BYTE, false),
        (small(0xff), 0xffff_fffe, &READ_LONG, false),
        (small(0), 0, &READ_BYTE, true),
        (small(0), 1, &READ_BYTE, false),
        (pages(0), 0xfff, &READ_BYTE, true),
        (pages(0), 0x1000, &READ_BYTE, false),
        (pages(1), 0x1ffc, &READ_LONG, true),
        (pages(1), 0x1ffd, &READ_LONG, false),
    ] {
        let expected = if through { THROUGH } else { (GP, 0) };
        check_eq!(access(descriptor, offset, code), expected, "{offset:#x} of {descriptor:#x}");
    }
}

fn expand_down() {
    let down = |limit, big| segment(DATA, limit, kind::EXPAND_DOWN, (big, false));
    for (descriptor, offset, code, through) in [
        (down(0xff, true), 0xff, &READ_BYTE[..], false),
        (down(0xff, true), 0x100, &READ_BYTE, true),
        (down(0xff, true), 0xfd, &READ_LONG, false),
        (down(0xff, true), 0x1_0000, &READ_BYTE, true),
        (down(0xff, false), 0x100, &READ_LONG, true),
        (down(0xff, false), 0xfffc, &READ_LONG, true),
        (down(0xff, false), 0xfffd, &READ_LONG, false),
        (down(0xff, false), 0x1_0000, &READ_BYTE, false),
        (down(0xffff, false), 0, &READ_BYTE, false),
        (down(0xffff, true), 0x1_0000, &WRITE_LONG, true),
        (down(0xf_ffff, true), 0x10_0000, &READ_BYTE, true),
    ] {
        let expected = if through { THROUGH } else { (GP, 0) };
        check_eq!(access(descriptor, offset, code), expected, "{offset:#x} of {descriptor:#x}");
    }
}

fn types() {
    let data = |rights| segment(DATA, 0xfff, rights, (true, false));
    check_eq!(access(data(kind::READ_ONLY), 0, &READ_LONG), THROUGH);
    check_eq!(access(data(kind::READ_ONLY), 0, &WRITE_LONG), (GP, 0), "read-only data");
    check_eq!(access(data(kind::CODE), 0, &READ_LONG), THROUGH);
    check_eq!(access(data(kind::CODE), 0, &WRITE_LONG), (GP, 0), "code");
    let null = Context { ds: 0, registers: [0, DATA, 0, 0], ..Context::LEVEL_0 };
    check_eq!(Legacy::new().run(&null, &READ_LONG).fault(), (GP, 0), "a NULL selector");
    for (rights, code, expected) in [
        (kind::CODE, CODE_READ, THROUGH),
        (kind::CODE, CODE_WRITE, (GP, 0)),
        (kind::EXECUTE_ONLY, CODE_READ, (GP, 0)),
    ] {
        let mut legacy = Legacy::new();
        legacy.describe(FREE, flat(rights));
        let context = Context { cs: FREE, registers: [0, DATA, 0, 0], ..Context::LEVEL_0 };
        check_eq!(legacy.run(&context, &code).fault(), expected, "CS with rights {rights:#x}");
    }
}

/// Of the stack, #SS(0), which needs a stack of its own: the code is at privilege level 3.
fn stacks() {
    let level_3 = kind::LEVEL_3;
    for (descriptor, esp, through) in [
        (segment(DATA, 0xff, kind::DATA | level_3, (true, false)), 0x100, true),
        (segment(DATA, 0xff, kind::DATA | level_3, (true, false)), 0x101, false),
        (segment(DATA, 0xff, kind::DATA | level_3, (true, false)), 0, false),
        (segment(DATA, 0xff, kind::EXPAND_DOWN | level_3, (true, false)), 0x104, true),
        (segment(DATA, 0xff, kind::EXPAND_DOWN | level_3, (true, false)), 0x103, false),
        // SP alone counts, and wraps.
        (segment(DATA, 0xffff, kind::DATA | level_3, (false, false)), 0x5555_0000, true),
        (segment(DATA, 0xffff, kind::DATA | level_3, (false, false)), 0x5555_0002, false),
    ] {
        let mut legacy = Legacy::new();
        legacy.describe(FREE, descriptor);
        let context = Context { ss: FREE | 3, esp, ..Context::LEVEL_3 };
        let caught = legacy.run(&context, &PUSH_EAX);
        let expected = if through { THROUGH } else { (SS, 0) };
        check_eq!(caught.fault(), expected, "ESP {esp:#x} of {descriptor:#x}");
        if through && descriptor >> 54 & 1 == 0 {
            check_eq!(caught.old_esp & 0xffff, 0xfffc, "SP behind a PUSH");
        }
    }
}

fn fetches() {
    // Behind the first instruction the segment ends.
    for (limit, eip, expected) in [(0x103, 0x100, THROUGH), (0x102, 0x102, (GP, 0))] {
        let mut legacy = Legacy::new();
        legacy.describe(FREE, segment(CODE, limit, kind::CODE, (true, false)));
        legacy.write(CODE + 0x100, [0x90_u8, 0x90, 0x0f, 0x0b]);
        let context = Context { cs: FREE, eip: 0x100, ..Context::LEVEL_0 };
        let caught = legacy.run(&context, &[]);
        let at = if expected == THROUGH { 0x102 } else { eip };
        check_eq!((caught.fault(), caught.eip), (expected, at), "limit {limit:#x}");
    }
    let mut legacy = Legacy::new();
    legacy.describe(FREE, segment(CODE, 0xff, kind::CODE, (true, false)));
    let context = Context { cs: FREE, eip: 0, ..Context::LEVEL_0 };
    // jmp $ + 0x100
    let caught = legacy.run(&context, &[0xe9, 0xfb, 0, 0, 0]);
    check_eq!(caught.vector, u32::from(GP), "a jump beyond the limit");
}

//! The 80386's integer instructions, each on all pairs of telling operands, in real mode, in virtual-8086 mode,
//! and in 16- and 32-bit protected mode at privilege levels 0 and 3: results and flags are those that plain
//! arithmetic gives.
//@ stdout-contains: 1435 steps, 721670 checks, checksum 34caaf62
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use guest_tests::register::eflags::{AF, CF, OF, PF, SF, STATUS, ZF};
use guest_tests::walk::Walk;
use guest_tests::walk::batch::{CAPACITY, MODES, Mode};
use guest_tests::walk::model::{
    Operands, arithmetic, condition, divide, double_shift, logical, merge, multiply, shift, signed,
    subtract,
};

guest_tests::entry!(main);

const WIDTHS: [u32; 3] = [8, 16, 32];
const WIDE: [u32; 2] = [16, 32];
const BYTES: [u32; 1] = [8];
/// The ends of each width's ranges, and what has bits in all places.
const VALUES: [u32; 16] = [
    0,
    1,
    2,
    0x0f,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1234_5678,
    0x9abc_def1,
    0x5555_aa0a,
];

/// An instruction in each of its widths: its bytes, and what it makes of operands, which can be nothing
/// that is said.
struct Instruction<'a> {
    name: &'a str,
    widths: &'a [u32],
    bytes: &'a dyn Fn(u8) -> Vec<u8>,
    model: &'a dyn Fn(&mut Operands, u32) -> Option<u32>,
}

fn main() {
    let mut walk = Walk::default();
    for mode in MODES {
        all(&mut walk, mode);
    }
    walk.end();
}

fn all(walk: &mut Walk, mode: Mode) {
    let mut run = |name: &str,
                   widths: &[u32],
                   bytes: &dyn Fn(u8) -> Vec<u8>,
                   model: &dyn Fn(&mut Operands, u32) -> Option<u32>| {
        execute(walk, mode, &Instruction { name, widths, bytes, model });
    };
    // Operands are EAX and EBX: ModR/M d8, or a group's number beside c0 or c3.
    for number in 0..8_u8 {
        run("arithmetic", &WIDTHS, &|w| [number << 3 | w, 0xd8].into(), &|o, bits| {
            Some(arithmetic(number.into(), o, bits))
        });
        for (opcode, by) in [(0xd0, Some(1)), (0xd2, None)] {
            let modrm = 0xc0 | number << 3;
            run("shift", &WIDTHS, &|w| [opcode | w, modrm].into(), &|o, bits| {
                Some(shift(number.into(), o, by.unwrap_or(o.ecx & 0xff), bits))
            });
        }
        for count in [0, 1, 7, 33] {
            let modrm = 0xc0 | number << 3;
            run(
                "shift by a constant",
                &WIDTHS,
                &|w| [0xc0 | w, modrm, count].into(),
                &|o, bits| Some(shift(number.into(), o, count.into(), bits)),
            );
        }
    }
    run("INC", &WIDTHS, &|w| [0xfe | w, 0xc0].into(), &|o, bits| Some(step(o, bits, false)));
    run("DEC", &WIDTHS, &|w| [0xfe | w, 0xc8].into(), &|o, bits| Some(step(o, bits, true)));
    run("NOT", &WIDTHS, &|w| [0xf6 | w, 0xd0].into(), &|o, bits| {
        o.set_a(!o.a(bits), bits);
        Some(0)
    });
    run("NEG", &WIDTHS, &|w| [0xf6 | w, 0xd8].into(), &|o, bits| {
        let negative = subtract(o, 0, o.a(bits), 0, bits);
        o.set_a(negative, bits);
        Some(0)
    });
    run("TEST", &WIDTHS, &|w| [0x84 | w, 0xd8].into(), &|o, bits| {
        Some(logical(o, o.a(bits) & o.b(bits), bits))
    });
    run("XCHG", &WIDTHS, &|w| [0x86 | w, 0xd8].into(), &|o, bits| {
        let (a, b) = (o.a(bits), o.b(bits));
        o.set_a(b, bits);
        o.ebx = merge(o.ebx, a, bits);
        Some(0)
    });
    run("MUL", &WIDTHS, &|w| [0xf6 | w, 0xe3].into(), &|o, bits| Some(multiply(false, o, bits)));
    run("IMUL", &WIDTHS, &|w| [0xf6 | w, 0xeb].into(), &|o, bits| Some(multiply(true, o, bits)));
    run("DIV", &WIDTHS, &|w| [0xf6 | w, 0xf3].into(), &|o, bits| divide(false, o, bits));
    run("IDIV", &WIDTHS, &|w| [0xf6 | w, 0xfb].into(), &|o, bits| divide(true, o, bits));
    run("IMUL by a register", &WIDE, &|_| [0x0f, 0xaf, 0xc3].into(), &|o, bits| {
        Some(product(o, signed(o.a(bits), bits), bits))
    });
    run("IMUL by a constant", &WIDE, &|_| [0x6b, 0xc3, 0xfb].into(), &|o, bits| {
        Some(product(o, -5, bits))
    });
    for (opcode, left) in [(0xa4, true), (0xac, false)] {
        for count in [0, 1, 9] {
            run("double shift", &WIDE, &|_| [0x0f, opcode, 0xd8, count].into(), &|o, bits| {
                double_shift(left, o, count.into(), bits)
            });
        }
        run("double shift by CL", &WIDE, &|_| [0x0f, opcode | 1, 0xd8].into(), &|o, bits| {
            double_shift(left, o, o.ecx, bits)
        });
    }
    bits(&mut run);
    decimal(&mut run);
    conversions(&mut run);
    flags(&mut run);
}

type Run<'a> = dyn FnMut(&str, &[u32], &dyn Fn(u8) -> Vec<u8>, &dyn Fn(&mut Operands, u32) -> Option<u32>)
    + 'a;

/// INC and DEC: CF stays.
fn step(o: &mut Operands, bits: u32, down: bool) -> u32 {
    let carry = o.flags & CF;
    let before = o.a(bits);
    let result = match down {
        false => guest_tests::walk::model::add(o, before, 1, 0, bits),
        true => subtract(o, before, 1, 0, bits),
    };
    o.set_a(result, bits);
    o.set(CF, carry != 0);
    0
}

/// IMUL into A alone.
fn product(o: &mut Operands, left: i64, bits: u32) -> u32 {
    let whole = left * signed(o.b(bits), bits);
    o.set_a(whole as u64, bits);
    o.set(CF | OF, signed(o.a(bits), bits) != whole);
    SF | ZF | AF | PF
}

fn bits(run: &mut Run<'_>) {
    for (index, opcode) in (0..).zip([0xa3, 0xab, 0xb3, 0xbb]) {
        run("bit test", &WIDE, &|_| [0x0f, opcode, 0xd8].into(), &|o, bits| {
            let bit = 1 << (o.b(bits) % u64::from(bits));
            let before = o.a(bits);
            o.set(CF, before & bit != 0);
            let after = match index {
                0 => before,
                1 => before | bit,
                2 => before & !bit,
                _ => before ^ bit,
            };
            o.set_a(after, bits);
            // ZF stays on later processors; the 80386 leaves it open.
            Some(OF | SF | AF | PF | ZF)
        });
    }
    for (opcode, forward) in [(0xbc, true), (0xbd, false)] {
        run("bit scan", &WIDE, &|_| [0x0f, opcode, 0xc3].into(), &|o, bits| {
            let source = o.b(bits);
            o.set(ZF, source == 0);
            if source != 0 {
                let index = if forward { source.trailing_zeros() } else { source.ilog2() };
                o.set_a(index.into(), bits);
            }
            Some(CF | OF | SF | AF | PF)
        });
    }
}

fn decimal(run: &mut Run<'_>) {
    for (opcode, down) in [(0x27, false), (0x2f, true)] {
        run("DAA, DAS", &BYTES, &|_| [opcode].into(), &|o, _| {
            let before = o.a(8);
            let low = before & 0xf > 9 || o.flags & AF != 0;
            let high = before > 0x99 || o.flags & CF != 0;
            let by = if low { 6 } else { 0 } + if high { 0x60 } else { 0 };
            let after = if down { before.wrapping_sub(by) } else { before + by } & 0xff;
            // The low digit's borrow or carry counts, too.
            let out = low && if down { before < 6 } else { before > 0xf9 };
            o.set(AF, low);
            o.set(CF, high || out);
            o.show(after, 8);
            o.set_a(after, 8);
            Some(OF)
        });
    }
    for (opcode, down) in [(0x37, false), (0x3f, true)] {
        run("AAA, AAS", &BYTES, &|_| [opcode].into(), &|o, _| {
            let adjusts = o.a(8) & 0xf > 9 || o.flags & AF != 0;
            let by = if adjusts { 0x106 } else { 0 };
            let after = if down { o.a(16).wrapping_sub(by) } else { o.a(16) + by };
            o.set_a(after & 0xff0f, 16);
            o.set(AF | CF, adjusts);
            Some(OF | SF | ZF | PF)
        });
    }
    for base in [10, 7_u8] {
        run("AAM", &BYTES, &|_| [0xd4, base].into(), &|o, _| {
            let (value, base) = (o.a(8), u64::from(base));
            o.set_a(((value / base) << 8) | (value % base), 16);
            o.show(value % base, 8);
            Some(OF | AF | CF)
        });
        run("AAD", &BYTES, &|_| [0xd5, base].into(), &|o, _| {
            let value = (o.a(8) + (o.a(16) >> 8) * u64::from(base)) & 0xff;
            o.set_a(value, 16);
            o.show(value, 8);
            Some(OF | AF | CF)
        });
    }
}

fn conversions(run: &mut Run<'_>) {
    run("CBW, CWDE", &WIDE, &|_| [0x98].into(), &|o, bits| {
        let wide = signed(o.a(bits / 2), bits / 2);
        o.set_a(wide as u64, bits);
        Some(0)
    });
    run("CWD, CDQ", &WIDE, &|_| [0x99].into(), &|o, bits| {
        o.set_d((signed(o.a(bits), bits) >> 63) as u64, bits);
        Some(0)
    });
    for (opcode, from, extends) in
        [(0xb6, 8, false), (0xb7, 16, false), (0xbe, 8, true), (0xbf, 16, true)]
    {
        run("MOVZX, MOVSX", &WIDE, &|_| [0x0f, opcode, 0xc3].into(), &|o, bits| {
            let value = if extends { signed(o.b(from), from) as u64 } else { o.b(from) };
            o.set_a(value, bits);
            Some(0)
        });
    }
}

fn flags(run: &mut Run<'_>) {
    for number in 0..16_u8 {
        run("SETcc", &BYTES, &|_| [0x0f, 0x90 | number, 0xc0].into(), &|o, _| {
            o.set_a(condition(number.into(), o.flags).into(), 8);
            Some(0)
        });
        // Over MOV BL, 55.
        run("Jcc", &BYTES, &|_| [0x70 | number, 2, 0xb3, 0x55].into(), &|o, _| {
            if !condition(number.into(), o.flags) {
                o.ebx = merge(o.ebx, 0x55, 8);
            }
            Some(0)
        });
    }
    run("LAHF", &BYTES, &|_| [0x9f].into(), &|o, _| {
        o.eax = o.eax & !0xff00 | (o.flags & 0xd5 | 2) << 8;
        Some(0)
    });
    run("SAHF", &BYTES, &|_| [0x9e].into(), &|o, _| {
        o.flags = o.flags & !0xd5 | o.eax >> 8 & 0xd5;
        Some(0)
    });
    for (opcode, effect) in [(0xf8, 0), (0xf9, 1), (0xf5, 2)] {
        run("CLC, STC, CMC", &BYTES, &|_| [opcode].into(), &|o, _| {
            let carry = if effect == 2 { o.carry() == 0 } else { effect == 1 };
            o.set(CF, carry);
            Some(0)
        });
    }
}

/// Executes an instruction in each width on each pair of values, without and with all flags.
fn execute(walk: &mut Walk, mode: Mode, instruction: &Instruction<'_>) {
    let Instruction { name, widths, bytes, model } = *instruction;
    for &bits in widths {
        walk.step();
        let code = bytes(u8::from(bits != 8));
        let counts = VALUES.iter().enumerate();
        let cases: Vec<_> = counts
            .flat_map(|(index, &eax)| {
                VALUES.iter().flat_map(move |&ebx| {
                    [2, STATUS | 2].map(|flags| Operands {
                        eax,
                        ebx,
                        // As a count, every value up to beyond the widths comes.
                        ecx: (index as u32 * 5 + ebx.count_ones()) % 35,
                        edx: eax.rotate_left(13) ^ ebx,
                        flags,
                    })
                })
            })
            .map(|mut case| {
                let start = case;
                (start, model(&mut case, bits), case)
            })
            .collect();
        // What raises #DE or is not said at all stays out.
        let said: Vec<_> =
            cases.iter().filter_map(|(s, open, r)| Some((*s, (*open)?, *r))).collect();
        for part in said.chunks(CAPACITY) {
            let mut operands: Vec<_> = part.iter().map(|&(start, ..)| start).collect();
            mode.execute(&code, bits, &mut operands);
            for (found, (start, open, expected)) in operands.iter().zip(part) {
                let found = Operands { flags: found.flags & STATUS & !open, ..*found };
                let expected = Operands { flags: expected.flags & STATUS & !open, ..*expected };
                walk.note(found.eax ^ found.edx.rotate_left(7) ^ found.flags);
                walk.check(
                    found,
                    expected,
                    format_args!("{name} {code:02x?} of {bits} bits in {mode:?} on {start:x?}"),
                );
            }
        }
    }
}

//! A mismatch with as little state as shows it.

use crate::case::{CODE_ROOM, Case, X87};
use crate::generate::Image;

/// Makes `case` and `image` as small as `differs` allows.
pub fn shrink(
    case: &mut Case,
    image: &mut Box<Image>,
    mut differs: impl FnMut(&Image, &Case) -> bool,
) {
    for _ in 0..3 {
        let before = format!("{case:?}");
        for step in STEPS {
            for index in 0..16 {
                let (mut smaller, mut memory) = (*case, image.clone());
                step(&mut smaller, &mut memory, index);
                let same = format!("{smaller:?}") == format!("{case:?}") && memory == *image;
                if !same && differs(&memory, &smaller) {
                    (*case, *image) = (smaller, memory);
                }
            }
        }
        if format!("{case:?}") == before {
            return;
        }
    }
}

type Step = fn(&mut Case, &mut Image, usize);

const STEPS: &[Step] = &[
    |_, image, _| image.fill(0),
    |case, _, index| case.poke[index * 4..][..4].fill(0),
    |case, _, index| case.state.ymm[index] = [0; 2],
    |case, _, index| case.state.ymm[index][1] = 0,
    |case, _, index| case.state.gpr[index] = 0,
    |case, _, index| case.state.gpr[index] &= 0xff,
    |case, _, index| case.state.gpr[index] &= 0xffff_ffff,
    |case, _, _| case.state.mxcsr = 0x1f80,
    |case, _, _| case.state.x87 = X87::INITIAL,
    |case, _, _| case.state.rflags = 0x202,
    |case, _, index| case.state.rflags &= !(1 << index) | 0x202,
    |case, _, _| case.state.rflags &= !(1 << 18),
    // One byte less in front: a prefix that makes no difference.
    |case, _, _| {
        if case.length > 1 {
            case.code.rotate_left(1);
            case.code[CODE_ROOM - 1] = 0;
            case.length -= 1;
            case.state.rip += 1;
        }
    },
];

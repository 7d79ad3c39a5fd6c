//! All four privilege levels of protected mode: code, stacks and data of each, in the tables of a run.

use crate::legacy::{
    CODE_0, CODE_3, Context, DATA_0, DATA_3, FREE, Legacy, STACK, STACK_0, STACK_3, TSS, flat, kind,
};

/// Flat segments of levels 1 and 2.
const INNER: u16 = FREE + 0x280;

/// A descriptor's type byte with this privilege level.
pub fn at_level(kind: u8, level: u8) -> u8 {
    kind | level << 5
}

/// Flat code of a level.
pub fn code(level: u8) -> u16 {
    match level {
        0 => CODE_0,
        3 => CODE_3,
        _ => (INNER + u16::from(level) * 16) | u16::from(level),
    }
}

/// Flat data of a level.
pub fn data(level: u8) -> u16 {
    match level {
        0 => DATA_0,
        3 => DATA_3,
        _ => (INNER + u16::from(level) * 16 + 8) | u16::from(level),
    }
}

/// Where the stack of a level starts when it is entered from an outer one.
pub fn inner_stack(level: u8) -> u32 {
    STACK_0 - u32::from(level) * 0x400
}

/// Tables with segments and stacks of all levels.
pub fn tables() -> Legacy {
    let mut legacy = Legacy::new();
    for level in [1, 2] {
        legacy.describe(code(level), flat(at_level(kind::CODE, level)));
        legacy.describe(data(level), flat(at_level(kind::DATA, level)));
    }
    for level in 0..3 {
        let place = TSS + 4 + u32::from(level) * 8;
        legacy.write(place, [inner_stack(level), data(level).into()]);
    }
    legacy
}

/// Flat segments of a level.
pub fn context(level: u8) -> Context {
    let data = data(level);
    let esp = if level == 0 { STACK } else { STACK_3 };
    Context {
        esp,
        cs: code(level),
        ss: data,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ..Context::LEVEL_0
    }
}

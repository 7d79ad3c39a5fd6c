//! Order: comparisons, minimum and maximum.

use core::cmp::Ordering;

use super::{Environment, Format, INVALID, Kind, Number};

/// How two numbers compare; `None` if one is a NaN. `quiet`: only a signalling one is invalid.
pub(in crate::execute) fn order(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
    quiet: bool,
) -> Option<Ordering> {
    let (left, right) = (env.unpack(format, left), env.unpack(format, right));
    let nans = [left, right].map(Number::is_nan);
    if nans.contains(&true) {
        let signalling = [left, right].iter().any(|number| number.kind == Kind::Signalling);
        if signalling || !quiet {
            env.raise(INVALID);
        }
        return None;
    }
    env.look_for_denormals(&[left, right]);
    Some(key(format, left).cmp(&key(format, right)))
}

/// An integer in the order of the numbers.
fn key(format: Format, number: Number) -> i64 {
    let magnitude = (number.bits & !format.sign(true)) as i64;
    if number.negative { -magnitude } else { magnitude }
}

const LESS: u8 = 1;
const EQUAL: u8 = 2;
const GREATER: u8 = 4;
const UNORDERED: u8 = 8;

/// The orders for which each predicate holds (SDM, VCMPPS, "Comparison Predicate for CMPPD and CMPPS
/// Instructions").
const PREDICATES: [u8; 16] = [
    EQUAL,
    LESS,
    LESS | EQUAL,
    UNORDERED,
    LESS | GREATER | UNORDERED,
    EQUAL | GREATER | UNORDERED,
    GREATER | UNORDERED,
    LESS | EQUAL | GREATER,
    EQUAL | UNORDERED,
    LESS | UNORDERED,
    LESS | EQUAL | UNORDERED,
    0,
    LESS | GREATER,
    EQUAL | GREATER,
    GREATER,
    LESS | EQUAL | GREATER | UNORDERED,
];

/// CMPSS, VCMPSS and their like: all ones if the predicate, one of 32, holds.
pub(in crate::execute) fn predicate(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
    predicate: u8,
) -> u64 {
    // EQ, UNORD and their opposites are quiet; the upper sixteen are so where the lower ones are not.
    let quiet = matches!(predicate & 3, 0 | 3) != (predicate & 16 != 0);
    let order = match order(env, format, left, right, quiet) {
        Some(Ordering::Less) => LESS,
        Some(Ordering::Equal) => EQUAL,
        Some(Ordering::Greater) => GREATER,
        None => UNORDERED,
    };
    if PREDICATES[usize::from(predicate & 15)] & order != 0 { u64::MAX } else { 0 }
}

pub(in crate::execute) fn minimum(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    choose(env, format, left, right, Ordering::Less)
}

pub(in crate::execute) fn maximum(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    choose(env, format, left, right, Ordering::Greater)
}

/// The left operand if it compares as `wanted`, else the right one, as it is even if it is a NaN.
fn choose(env: &mut Environment, format: Format, left: u64, right: u64, wanted: Ordering) -> u64 {
    match order(env, format, left, right, false) {
        Some(order) if order == wanted => env.unpack(format, left).bits,
        _ => env.unpack(format, right).bits,
    }
}

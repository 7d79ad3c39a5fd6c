//! Order: comparisons, minimum and maximum.

use core::cmp::Ordering;

use super::{Environment, Format, INVALID, Kind, Number};

/// How two numbers compare; `None` if one is a NaN. `quiet`: only a signalling one is invalid.
pub(in super::super) fn order(
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

/// CMPSS and its like: all ones if the predicate holds.
pub(in super::super) fn predicate(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
    predicate: u8,
) -> u64 {
    // EQ, UNORD and their opposites are quiet.
    let quiet = matches!(predicate & 3, 0 | 3);
    let order = order(env, format, left, right, quiet);
    let holds = match predicate & 3 {
        0 => order == Some(Ordering::Equal),
        1 => order == Some(Ordering::Less),
        2 => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => order.is_none(),
    };
    if holds != (predicate & 4 != 0) { u64::MAX } else { 0 }
}

pub(in super::super) fn minimum(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    choose(env, format, left, right, Ordering::Less)
}

pub(in super::super) fn maximum(
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

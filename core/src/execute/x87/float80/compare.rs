//! Comparison.

use core::cmp::Ordering;

use super::{Environment, INVALID, Kind, Number};

/// How two operands are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    Less,
    Equal,
    Greater,
    Unordered,
}

/// Compares. A quiet NaN is invalid, unless the comparison is `quiet`.
pub(in super::super) fn order(
    env: &mut Environment,
    left: Number,
    right: Number,
    quiet: bool,
) -> Order {
    let operands = [left, right];
    if env.propagate(&operands).is_some() {
        if !quiet {
            env.raise(INVALID);
        }
        return Order::Unordered;
    }
    env.look_for_denormals(&operands);
    let [left, right] = operands.map(rank);
    match left.cmp(&right) {
        Ordering::Less => Order::Less,
        Ordering::Equal => Order::Equal,
        Ordering::Greater => Order::Greater,
    }
}

/// A number that is ordered as the value is.
fn rank(number: Number) -> i128 {
    let magnitude = match number.kind {
        Kind::Zero => 0,
        Kind::Finite => {
            let (significand, exponent) = number.normalized();
            // Offset so that it is positive for the smallest denormal.
            i128::from(exponent + 0x8000) << 64 | i128::from(significand)
        }
        _ => i128::MAX,
    };
    if number.negative { -magnitude } else { magnitude }
}

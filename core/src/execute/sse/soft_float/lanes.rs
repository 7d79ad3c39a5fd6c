//! Operations on numbers made operations on vectors.

use super::{DOUBLE, Environment, Format, SINGLE};
use crate::execute::sse::vector::{Lanes, Vector};

/// An operation on the low `N` singles; the others stay as they are in the left operand.
pub(in crate::execute) fn singles<const N: usize>(
    operation: impl Fn(&mut Environment, Format, u64, u64) -> u64,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, left, right| {
        let (mut left, right) = (<[u32; 4]>::of(left), <[u32; 4]>::of(right));
        for (left, right) in left.iter_mut().zip(right).take(N) {
            *left = operation(env, SINGLE, (*left).into(), right.into()) as u32;
        }
        left.vector()
    }
}

/// An operation on the low `N` doubles; the other stays as it is in the left operand.
pub(in crate::execute) fn doubles<const N: usize>(
    operation: impl Fn(&mut Environment, Format, u64, u64) -> u64,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, left, right| {
        let (mut left, right) = (<[u64; 2]>::of(left), <[u64; 2]>::of(right));
        for (left, right) in left.iter_mut().zip(right).take(N) {
            *left = operation(env, DOUBLE, *left, right);
        }
        left.vector()
    }
}

/// Two doubles from the low two singles or integers of the right operand.
pub(in crate::execute) fn doubled(
    operation: impl Fn(&mut Environment, u32) -> u64,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, _, right| {
        let [a, b, ..] = <[u32; 4]>::of(right);
        [operation(env, a), operation(env, b)].vector()
    }
}

/// Two singles or integers from the doubles of the right operand; the upper half is cleared.
pub(in crate::execute) fn halved(
    operation: impl Fn(&mut Environment, u64) -> u64,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, _, right| {
        let [low, high] = <[u64; 2]>::of(right);
        [operation(env, low) as u32, operation(env, high) as u32, 0, 0].vector()
    }
}

//! PCLMULQDQ: the product of two quadwords as polynomials over two elements. Bits 0 and 4 of the
//! immediate choose the quadwords.

use super::super::host_vector::HostVector;
use super::handler::{emit_by_immediate, on_host};
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, rows};

rows! {
    Pclmulqdq => |e| emit_by_immediate::<Pclmulqdq>(e, HANDLERS, |immediate| {
        immediate & 1 | immediate >> 3 & 2
    }),
}

const HANDLERS: &[super::super::op::Handler] = &[
    on_host::<HostPclmulqdq<0x00>>(),
    on_host::<HostPclmulqdq<0x01>>(),
    on_host::<HostPclmulqdq<0x10>>(),
    on_host::<HostPclmulqdq<0x11>>(),
];

pub(in crate::execute) struct Pclmulqdq;

impl Operation for Pclmulqdq {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::PCLMULQDQ;

    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let left = <[u64; 2]>::of(destination)[usize::from(immediate & 1)];
        let right = <[u64; 2]>::of(source)[usize::from(immediate >> 4 & 1)];
        let product = (0..64)
            .filter(|bit| right >> bit & 1 != 0)
            .fold(0, |sum, bit| sum ^ u128::from(left) << bit);
        product.vector()
    }
}

/// The same with the immediate in the code of the host's instruction.
pub(in crate::execute) struct HostPclmulqdq<const IMMEDIATE: u8>;

impl<const IMMEDIATE: u8> Operation for HostPclmulqdq<IMMEDIATE> {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::PCLMULQDQ;

    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Pclmulqdq::compute(mxcsr, destination, source, immediate)
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        super::pure!("pclmulqdq {0}, {1}, {2}", destination, source, const IMMEDIATE)
    }
}

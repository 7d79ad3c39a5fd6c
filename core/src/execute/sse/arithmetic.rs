//! Floating-point arithmetic: ADD, SUB, MUL, DIV, MIN, MAX, SQRT, RCP and RSQRT on packed and scalar,
//! single and double.

use super::super::host_vector::HostVector;
use super::handler::{frequent, operation};
use super::soft_float::{
    add, divide, doubles, maximum, minimum, multiply, reciprocal, reciprocal_root, root, singles,
    subtract,
};
use super::vector::{Aligned, Low32, Low64, Vector};
use super::{native, rows};

rows! {
    Addps => frequent::<Addps>, Addpd => frequent::<Addpd>,
    Addss => frequent::<Addss>, Addsd => frequent::<Addsd>,
    Subps => frequent::<Subps>, Subpd => frequent::<Subpd>,
    Subss => frequent::<Subss>, Subsd => frequent::<Subsd>,
    Mulps => frequent::<Mulps>, Mulpd => frequent::<Mulpd>,
    Mulss => frequent::<Mulss>, Mulsd => frequent::<Mulsd>,
    Divps => frequent::<Divps>, Divpd => frequent::<Divpd>,
    Divss => frequent::<Divss>, Divsd => frequent::<Divsd>,
    Minps => operation::<Minps>, Minpd => operation::<Minpd>,
    Minss => operation::<Minss>, Minsd => operation::<Minsd>,
    Maxps => operation::<Maxps>, Maxpd => operation::<Maxpd>,
    Maxss => operation::<Maxss>, Maxsd => operation::<Maxsd>,
    Sqrtps => operation::<Sqrtps>, Sqrtpd => operation::<Sqrtpd>,
    Sqrtss => operation::<Sqrtss>, Sqrtsd => operation::<Sqrtsd>,
    Rcpps => operation::<Rcpps>, Rcpss => operation::<Rcpss>,
    Rsqrtps => operation::<Rsqrtps>, Rsqrtss => operation::<Rsqrtss>,
}

native! {
    FLOATS = true, NEEDS = HostVector::empty();
    Addps: Aligned, "addps", singles::<4>(add); Addpd: Aligned, "addpd", doubles::<2>(add);
    Addss: Low32, "addss", singles::<1>(add); Addsd: Low64, "addsd", doubles::<1>(add);
    Subps: Aligned, "subps", singles::<4>(subtract); Subpd: Aligned, "subpd", doubles::<2>(subtract);
    Subss: Low32, "subss", singles::<1>(subtract); Subsd: Low64, "subsd", doubles::<1>(subtract);
    Mulps: Aligned, "mulps", singles::<4>(multiply); Mulpd: Aligned, "mulpd", doubles::<2>(multiply);
    Mulss: Low32, "mulss", singles::<1>(multiply); Mulsd: Low64, "mulsd", doubles::<1>(multiply);
    Divps: Aligned, "divps", singles::<4>(divide); Divpd: Aligned, "divpd", doubles::<2>(divide);
    Divss: Low32, "divss", singles::<1>(divide); Divsd: Low64, "divsd", doubles::<1>(divide);
    Minps: Aligned, "minps", singles::<4>(minimum); Minpd: Aligned, "minpd", doubles::<2>(minimum);
    Minss: Low32, "minss", singles::<1>(minimum); Minsd: Low64, "minsd", doubles::<1>(minimum);
    Maxps: Aligned, "maxps", singles::<4>(maximum); Maxpd: Aligned, "maxpd", doubles::<2>(maximum);
    Maxss: Low32, "maxss", singles::<1>(maximum); Maxsd: Low64, "maxsd", doubles::<1>(maximum);
    Sqrtps: Aligned, "sqrtps", singles::<4>(root); Sqrtpd: Aligned, "sqrtpd", doubles::<2>(root);
    Sqrtss: Low32, "sqrtss", singles::<1>(root); Sqrtsd: Low64, "sqrtsd", doubles::<1>(root);
}

// Approximations raise nothing.
native! {
    FLOATS = false, NEEDS = HostVector::empty();
    Rcpps: Aligned, "rcpps", singles::<4>(reciprocal); Rcpss: Low32, "rcpss", singles::<1>(reciprocal);
    Rsqrtps: Aligned, "rsqrtps", singles::<4>(reciprocal_root); Rsqrtss: Low32, "rsqrtss", singles::<1>(reciprocal_root);
}

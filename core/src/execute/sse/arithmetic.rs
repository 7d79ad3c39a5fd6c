//! Floating-point arithmetic: ADD, SUB, MUL, DIV, MIN, MAX, SQRT, RCP and RSQRT on packed and scalar,
//! single and double.

use super::handler::{frequent, operation};
use super::vector::{Aligned, Low32, Low64, Vector};
use super::{Operation, native, rows};

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
    Addps: Aligned, "addps"; Addpd: Aligned, "addpd"; Addss: Low32, "addss"; Addsd: Low64, "addsd";
    Subps: Aligned, "subps"; Subpd: Aligned, "subpd"; Subss: Low32, "subss"; Subsd: Low64, "subsd";
    Mulps: Aligned, "mulps"; Mulpd: Aligned, "mulpd"; Mulss: Low32, "mulss"; Mulsd: Low64, "mulsd";
    Divps: Aligned, "divps"; Divpd: Aligned, "divpd"; Divss: Low32, "divss"; Divsd: Low64, "divsd";
    Minps: Aligned, "minps"; Minpd: Aligned, "minpd"; Minss: Low32, "minss"; Minsd: Low64, "minsd";
    Maxps: Aligned, "maxps"; Maxpd: Aligned, "maxpd"; Maxss: Low32, "maxss"; Maxsd: Low64, "maxsd";
    Sqrtps: Aligned, "sqrtps"; Sqrtpd: Aligned, "sqrtpd";
    Sqrtss: Low32, "sqrtss"; Sqrtsd: Low64, "sqrtsd";
    Rcpps: Aligned, "rcpps"; Rcpss: Low32, "rcpss";
    Rsqrtps: Aligned, "rsqrtps"; Rsqrtss: Low32, "rsqrtss";
}

//! Floating-point arithmetic of `sse` on three operands and on 256 bits.

use super::super::sse::arithmetic::*;
use super::super::sse::sse3::{Addsubpd, Addsubps, Haddpd, Haddps, Hsubpd, Hsubps};
use super::handler::{frequent, frequent_low, lanes, low};
use super::rows;

rows! {
    Vaddps => frequent::<Addps>, Vaddpd => frequent::<Addpd>,
    Vaddss => frequent_low::<Addss>, Vaddsd => frequent_low::<Addsd>,
    Vsubps => frequent::<Subps>, Vsubpd => frequent::<Subpd>,
    Vsubss => frequent_low::<Subss>, Vsubsd => frequent_low::<Subsd>,
    Vmulps => frequent::<Mulps>, Vmulpd => frequent::<Mulpd>,
    Vmulss => frequent_low::<Mulss>, Vmulsd => frequent_low::<Mulsd>,
    Vdivps => lanes::<Divps>, Vdivpd => lanes::<Divpd>,
    Vdivss => low::<Divss>, Vdivsd => low::<Divsd>,
    Vminps => lanes::<Minps>, Vminpd => lanes::<Minpd>,
    Vminss => low::<Minss>, Vminsd => low::<Minsd>,
    Vmaxps => lanes::<Maxps>, Vmaxpd => lanes::<Maxpd>,
    Vmaxss => low::<Maxss>, Vmaxsd => low::<Maxsd>,
    Vsqrtps => lanes::<Sqrtps>, Vsqrtpd => lanes::<Sqrtpd>,
    Vsqrtss => low::<Sqrtss>, Vsqrtsd => low::<Sqrtsd>,
    Vrcpps => lanes::<Rcpps>, Vrcpss => low::<Rcpss>,
    Vaddsubps => lanes::<Addsubps>, Vaddsubpd => lanes::<Addsubpd>,
    Vhaddps => lanes::<Haddps>, Vhaddpd => lanes::<Haddpd>,
    Vhsubps => lanes::<Hsubps>, Vhsubpd => lanes::<Hsubpd>,
    Vrsqrtps => lanes::<Rsqrtps>, Vrsqrtss => low::<Rsqrtss>,
}

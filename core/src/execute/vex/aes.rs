//! AES in its VEX encoding. 256 bits are of another feature, VAES.

use super::super::emit::Emit;
use super::super::sse::Operation;
use super::super::sse::aes::*;
use super::handler::low;
use super::{is_wide, rows};

rows! {
    Vaesenc => aes::<Aesenc>, Vaesenclast => aes::<Aesenclast>,
    Vaesdec => aes::<Aesdec>, Vaesdeclast => aes::<Aesdeclast>,
    Vaesimc => aes::<Aesimc>, Vaeskeygenassist => aes::<Aeskeygenassist>,
}

fn aes<O: Operation>(emit: &mut Emit) -> Option<()> {
    if is_wide(emit) { None } else { low::<O>(emit) }
}

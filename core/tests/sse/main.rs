//! SSE to SSE4.2, AES, PCLMULQDQ and SHA: each instruction beside the host's own, and what it raises.

#![cfg(target_arch = "x86_64")]

mod cipher;
#[path = "../common/mod.rs"]
mod common;
mod copied;
mod element;
mod faults;
mod floating;
mod harness;
mod instructions;
mod native;
mod neighbours;
mod pair;
mod rounds;
mod sse3;
mod sse4_1;
mod sse4_2;
mod ssse3;
mod text;
mod values;

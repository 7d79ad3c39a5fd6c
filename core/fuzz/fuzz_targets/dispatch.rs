//! What a run executes, single steps execute too: chaining, lazy flags, fused pairs and the caches
//! against one instruction at a time.

#![no_main]

#[path = "../../tests/common/random.rs"]
mod random;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| random::run_and_steps_agree(bytes));

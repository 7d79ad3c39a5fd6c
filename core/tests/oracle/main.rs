//! The oracle: generated instructions with chosen registers, flags and operands run on the processor
//! under us and on the interpreter, and whatever an instruction leaves must be the same: registers,
//! flags, memory, exception.
//!
//! `cargo test` runs some cases of each instruction; `cargo xtask oracle` as many as are wanted.
#![cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux")),
    allow(dead_code, reason = "there is no processor to ask")
)]

mod both;
mod case;
mod compare;
mod explained;
#[path = "../common/extended.rs"]
mod extended;
#[path = "../common/features.rs"]
mod features;
mod generate;
mod guest;
mod incomparable;
mod interpreter;
mod layout;
#[path = "../common/numbers.rs"]
mod numbers;
mod report;
mod run;
mod sequence;
mod shrink;
mod silicon;
mod undefined;
mod walk;

fn main() -> std::process::ExitCode {
    run::main()
}

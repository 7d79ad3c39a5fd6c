//! The oracle: generated instructions with chosen registers, flags and operands run on the processor
//! under us and on the interpreter, and whatever an instruction leaves must be the same: registers,
//! flags, memory, exception.
//!
//! `cargo test` runs some cases of each instruction; `cargo xtask oracle` as many as are wanted.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod both;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod case;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod compare;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod explained;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod generate;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod incomparable;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod interpreter;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod layout;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[path = "../common/numbers.rs"]
mod numbers;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod report;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod run;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod shrink;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod silicon;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod undefined;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod walk;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn main() {
    eprintln!("oracle: skipped, because the oracle is an x86-64 processor under Linux");
}

//! What executes a case on a real processor: a child process, or a guest of KVM.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native;

use std::sync::OnceLock;

use crate::case::{Case, Outcome};
use crate::generate::Image;
use crate::layout::Mode;

/// Most cases that are asked at once.
pub const BATCH: usize = 256;

/// The ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a program of Linux.
    Process,
    /// As a guest of KVM.
    Kvm,
}

/// A processor that can be asked.
pub trait Silicon {
    /// How it is asked, in words.
    fn name(&self) -> &'static str;

    /// Whether it is what a KVM without VMX and SVM makes of one.
    fn is_paravirtual(&self) -> bool {
        false
    }

    /// The modes in which it executes instructions.
    fn modes(&self) -> &[Mode];

    /// Changes of a case what could not be asked.
    fn adapt(&self, _case: &mut Case) {}

    /// Begins with these cases, at most [`BATCH`].
    fn begin(&mut self, image: &Image, cases: &[Case]);

    /// Waits until all are done.
    fn finish(&mut self) -> Vec<Result<&Outcome, Lost>>;
}

/// Why a case has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What executed it has died or hung over it.
    Gone,
    /// It does not execute this, for a reason that is known: nothing to compare with.
    Refused(&'static str),
}

/// The processor under us, or why it can't be asked.
pub fn open(kind: Kind) -> Result<Box<dyn Silicon>, String> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return native::open(kind);
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    Err(format!("{kind:?}: the oracle is an x86-64 processor under Linux"))
}

/// Whether the processor under us is one of AMD's.
pub fn is_amd() -> bool {
    static IS_AMD: OnceLock<bool> = OnceLock::new();
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return *IS_AMD.get_or_init(native::is_amd);
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    *IS_AMD.get_or_init(|| false)
}

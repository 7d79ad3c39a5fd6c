//! Failures of the host. What a guest does is never one of them: that is an architectural exception
//! or an [`Exit`](crate::Exit).

use core::{error, fmt};

/// A host operation that an engine needs has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError {
    /// What was attempted, such as `KVM_SET_SREGS`.
    pub operation: &'static str,
    /// The operating system's error number, or 0.
    pub errno: i32,
}

impl fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the engine's {} failed", self.operation)?;
        if self.errno == 0 { Ok(()) } else { write!(formatter, " (errno {})", self.errno) }
    }
}

impl error::Error for EngineError {}

//! Why a memory access does not complete.

use crate::Access;
use crate::state::{Exception, Vector};

/// What an access gives instead of succeeding. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessError {
    /// The address is not canonical: #SS(0) for accesses by the stack segment, #GP(0) otherwise.
    NonCanonical,
    /// A page fault, or an alignment check.
    Exception(Exception),
    /// A device has to be read first: leave with [`Exit::Read`](crate::Exit::Read), then execute
    /// the instruction anew.
    Device(Access),
    /// A locked operation that the host can't do at once: it has to be executed anew while no other
    /// vCPU executes.
    Split,
}

impl AccessError {
    /// #AC(0).
    pub(super) const ALIGNMENT: Self =
        Self::Exception(Exception::with_code(Vector::AlignmentCheck, 0));
}

impl From<Exception> for AccessError {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

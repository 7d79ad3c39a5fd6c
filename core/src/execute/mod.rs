//! What instructions do.

pub(crate) mod control_register;
pub(crate) mod msr;

//! Translation: guest bytes become blocks of ops, which are kept, linked to each other, and freed
//! when the bytes they came from are written.
//!
//! Nothing above this floor looks into a block; `vcpu` asks for one by address and gets the op to
//! start with.

mod block;
mod cache;
mod length;
mod lower;

pub(crate) use block::Key;
pub(crate) use cache::{Cache, Found};
pub(crate) use lower::Lowering;

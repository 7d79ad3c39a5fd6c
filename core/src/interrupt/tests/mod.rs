//! Tests of this folder, each beside the name of its subject.

mod delivery;
mod fixture;

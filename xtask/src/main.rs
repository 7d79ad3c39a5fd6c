//! Builds and runs all.
fn main() {}

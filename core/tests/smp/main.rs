//! Several vCPUs on one memory: in threads, and in turns on one.

#[path = "../common/mod.rs"]
mod common;

mod code;
mod locked;
mod machine;

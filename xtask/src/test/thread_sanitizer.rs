//! A monovisor that ThreadSanitizer watches: every access of ours to memory that threads share is
//! checked for an order. What handlers do to guest RAM is assembly, which it does not see; that is the
//! guest's own order, and litmus guests look after it.
//!
//! The standard library is built with it, or its channels and locks would look like races; so nightly
//! is needed, with its sources.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::fuzz;
use crate::workspace::Workspace;

/// Builds it, with the portable dispatcher: the sanitizer's calls in a handler are no tail calls.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    fuzz::require_nightly(workspace)?;
    let host = fuzz::host(workspace)?;
    let target = workspace.target.join("thread-sanitizer");
    let shell = &workspace.shell;
    // With a target named, build scripts and macros are built without the flags.
    cmd!(
        shell,
        "cargo build --release -p monovisor --features loop-dispatch --target {host}
            --target-dir {target} -Zbuild-std=std,panic_abort"
    )
    .env("RUSTFLAGS", "-Zsanitizer=thread")
    .env("RUSTUP_TOOLCHAIN", "nightly")
    .env_remove("RUSTC")
    .run()
    .context(
        "building monovisor with ThreadSanitizer; without the standard library's sources, first \
         `rustup component add rust-src --toolchain nightly`",
    )?;
    Ok(target.join(host).join("release/monovisor"))
}

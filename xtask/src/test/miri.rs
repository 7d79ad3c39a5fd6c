//! What Miri can run of the core: guest memory's portable path and what is locked on it, the mailboxes
//! between local APICs, and the gate with its queues. It interprets the language, so it knows no assembly,
//! but every undefined behaviour and race of the rest.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::fuzz;
use crate::workspace::Workspace;

/// Tests that run together: what they are called, the targets and the tests to choose, and Miri's flags.
struct Look {
    name: &'static str,
    targets: &'static [&'static str],
    tests: &'static [&'static str],
    flags: &'static str,
}

const LOOKS: &[Look] = &[
    Look {
        name: "order of accesses and messages",
        targets: &["--lib"],
        tests: &["memory::access::tests::order", "apic::interconnect"],
        flags: "",
    },
    // Where accesses of different widths meet, Miri can't emulate stale values.
    Look {
        name: "accesses and locked operations of every width",
        targets: &["--lib"],
        tests: &["memory::", "paging::tests::locked", "--skip", "memory::access::tests::order"],
        flags: "-Zmiri-disable-weak-memory-emulation",
    },
    Look {
        name: "the gate and its queues",
        targets: &["--test", "exclusive"],
        tests: &[],
        flags: "",
    },
];

/// Runs all of them; whether they passed.
pub fn run(workspace: &Workspace) -> Result<bool> {
    fuzz::require_nightly(workspace)?;
    cmd!(workspace.shell, "rustup run nightly cargo miri --version")
        .quiet()
        .ignore_stdout()
        .run()
        .context("Miri is missing: run `rustup component add miri rust-src --toolchain nightly`")?;
    let target = workspace.target.join("miri");
    let mut passed = true;
    for Look { name, targets, tests, flags } in LOOKS {
        super::heading(&format!("Miri: {name}"));
        let shell = &workspace.shell;
        passed &= cmd!(shell, "cargo miri test -p monovisor-core --target-dir {target}")
            .args(*targets)
            .arg("--")
            .args(*tests)
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env_remove("RUSTC")
            // Guest RAM is reached by addresses that were exposed.
            .env("MIRIFLAGS", format!("-Zmiri-permissive-provenance {flags}"))
            .run()
            .is_ok();
    }
    Ok(passed)
}

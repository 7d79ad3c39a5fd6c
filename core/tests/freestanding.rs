//! The core needs neither `std` nor libc: a program without them, linked from a static library of
//! it, lacks the memory routines that the prebuilt `compiler_builtins` leaves to libc, nothing else.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use object::{Object, ObjectSymbol};

/// What an embedder has to bring.
const MEMORY_ROUTINES: [&str; 6] = ["bcmp", "memcmp", "memcpy", "memmove", "memset", "strlen"];

const LINKER: &str = "cc";
const ENTRY: &str = "run_a_guest";

/// Variables that would bring the flags of this test's own build into that of the library.
const FLAGS: [&str; 5] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];

#[test]
fn only_memory_routines_are_undefined() {
    match Command::new(LINKER).arg("--version").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no `{LINKER}` to link a freestanding program with");
            return;
        }
        result => assert!(result.expect("the linker starts").status.success()),
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("freestanding");
    let program = fs::read(link(&folder, &build(&folder))).expect("a readable program");
    let program = object::File::parse(&*program).expect("an executable");

    let core = |name: &&str| name.contains("14monovisor_core7execute");
    let names = || program.symbols().filter_map(|symbol| symbol.name().ok());
    let linked = names().filter(core).count();
    assert!(linked > 1000, "only {linked} functions of `execute` are in the program");

    let undefined = program.symbols().filter(|symbol| symbol.is_undefined());
    let undefined: BTreeSet<&str> =
        undefined.filter_map(|symbol| symbol.name().ok()).filter(|name| !name.is_empty()).collect();
    assert!(undefined.contains("memcpy"), "undefined symbols are not seen: {undefined:?}");
    let foreign: Vec<_> = undefined.iter().filter(|name| !MEMORY_ROUTINES.contains(name)).collect();
    assert!(foreign.is_empty(), "the core needs more than memory routines: {foreign:?}");
}

/// Builds the static library from a copy of its package, where cargo may write the lock file.
fn build(folder: &Path) -> PathBuf {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = core.join("tests/freestanding");
    let package = folder.join("package");
    let manifest = fs::read_to_string(source.join("Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("\"../..\""), "the manifest says where the core is");
    let manifest = manifest.replace("\"../..\"", &format!("{core:?}"));
    fs::create_dir_all(package.join("src")).expect("a folder for the package");
    fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(source.join("src/lib.rs"), package.join("src/lib.rs")).expect("a source");
    // The versions that were fetched for the workspace are the ones to be had offline.
    fs::copy(core.join("../Cargo.lock"), package.join("Cargo.lock")).expect("a lock file");

    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let flags = name.to_str().is_some_and(|name| FLAGS.iter().any(|f| name.starts_with(f)));
        if flags && name != "CARGO_BUILD_JOBS" {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--release", "--offline", "--target-dir"]).arg(folder);
    run(cargo.current_dir(&package));
    folder.join("release/libfreestanding.a")
}

/// Links what can be reached from the entry, and leaves undefined what is.
fn link(folder: &Path, library: &Path) -> PathBuf {
    let program = folder.join("freestanding");
    let mut linker = Command::new(LINKER);
    linker.args(["-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections"]);
    linker.arg("-Wl,--unresolved-symbols=ignore-all");
    linker.arg(format!("-Wl,--entry={ENTRY},--undefined={ENTRY}"));
    run(linker.arg(library).arg("-o").arg(&program));
    program
}

fn run(command: &mut Command) {
    let output = command.output().expect("the tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
}

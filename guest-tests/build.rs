//! Links every guest as a freestanding image at the addresses of `guest.ld`. The flags go to this
//! package's binaries alone, so nothing of it leaks into programs for the host.

use std::env;

fn main() {
    let script = format!("{}/guest.ld", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={script}");
    // `x86_64-unknown-none` calls the linker itself; a hosted target calls it through the C compiler.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        for flag in ["--build-id=none", "-z", "max-page-size=0x1000", "-no-pie"] {
            println!("cargo::rustc-link-arg-bins={flag}");
        }
        println!("cargo::rustc-link-arg-bins=-T{script}");
        return;
    }
    for flag in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=0x1000",
        "-Wl,--no-dynamic-linker",
    ] {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
}

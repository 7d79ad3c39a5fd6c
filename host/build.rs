//! How the program is linked where that depends on the host's C library; `static.toml` has the rest.
//!
//! A static program at a random address relocates itself before it does anything else. Packed, its
//! 15,000 relocations are a fortieth of the bytes, which is worth 0.2 ms of each start.

use std::env;

/// The first glibc whose start-up code knows packed relocations (its release notes, "DT_RELR").
#[cfg(target_env = "gnu")]
const PACKS: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let linked_in = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|has| has == "crt-static");
    let for_this_host = variable("TARGET") == variable("HOST");
    if linked_in && for_this_host && packs() {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether this host's C library, which is the one that is linked in, takes packed relocations.
#[cfg(target_env = "gnu")]
fn packs() -> bool {
    use std::ffi::{CStr, c_char};

    unsafe extern "C" {
        safe fn gnu_get_libc_version() -> *const c_char;
    }
    // SAFETY: a string constant of the C library.
    let version = unsafe { CStr::from_ptr(gnu_get_libc_version()) }.to_string_lossy();
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= PACKS)
}

#[cfg(not(target_env = "gnu"))]
fn packs() -> bool {
    false
}

//! `monovisor diff` finds nothing where nothing is.

use std::process::Command;

use crate::{guest, has_kvm};

/// Exit code and words of `monovisor diff` with a flat `image`.
fn diff(image: &[u8], flags: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().join("image");
    std::fs::write(&path, image).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_monovisor"))
        .args(["diff", "--memory=8M", "--timeout=60s"])
        .args(flags)
        .arg(&path)
        .output()
        .expect("monovisor starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn engines_agree_on_a_guest_instruction_by_instruction() {
    let flags = ["--flat=0x200000:long", "--max-instructions=30000"];
    let (code, said) = diff(guest::wandering(), &flags);
    if has_kvm() {
        assert_eq!(code, Some(124), "{said}");
        assert!(said.contains(" instructions alike, "), "{said}");
    } else {
        assert_eq!(code, Some(125), "{said}");
        assert!(said.starts_with("monovisor: KVM cannot be used: "), "{said}");
    }
}

#[test]
fn how_the_guest_ends_is_no_difference_and_nothing_compared_is_no_agreement() {
    if !has_kvm() {
        return;
    }
    let flags = ["--flat=0x7c00", "--debug-exit=raw"];
    for (image, code, words) in [
        // `mov al, 125; out 0xf4, al; jmp $`, and `hlt`, which KVM does not step.
        (&b"\xb0\x7d\xe6\xf4\xeb\xfe"[..], 0, "exited with code 125"),
        (b"\xf4", 125, "nothing was compared"),
    ] {
        let (got, said) = diff(image, &flags);
        assert_eq!(got, Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    for flag in ["--accel=kvm", "--cpus=2", "--disk=/dev/null", "--json=run.json"] {
        let (code, said) = diff(b"\xf4", &["--flat=0x7c00", flag]);
        let name = flag.split('=').next().unwrap_or(flag);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(name) && said.lines().count() == 1, "{said}");
    }
}

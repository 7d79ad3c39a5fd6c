//! `monovisor diff` finds nothing where nothing is.

use std::process::Command;

use crate::{guest, has_kvm};

#[test]
fn engines_agree_on_a_guest_instruction_by_instruction() {
    let directory = tempfile::tempdir().expect("a folder");
    let image = directory.path().join("image");
    std::fs::write(&image, guest::wandering()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_monovisor"))
        .args(["diff", "--memory=8M", "--timeout=5s", "--flat=0x200000:long"])
        .arg(&image)
        .output()
        .expect("monovisor starts");
    let said = String::from_utf8_lossy(&output.stderr);
    if has_kvm() {
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(" instructions alike, "), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.starts_with("monovisor: KVM cannot be used: "), "{said}");
    }
}

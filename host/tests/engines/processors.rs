//! Several processors on both engines: they start each other, share memory and wake each other.

use std::process::Command;

use crate::{guest, has_kvm};

#[test]
fn processors_start_share_memory_and_wake_each_other() {
    let directory = tempfile::tempdir().expect("a folder");
    let image = directory.path().join("image");
    std::fs::write(&image, guest::two_processors()).expect("a file");
    let engines = if has_kvm() { &["interp", "kvm"][..] } else { &["interp"] };
    for engine in engines {
        let output = Command::new(env!("CARGO_BIN_EXE_monovisor"))
            .args(["run", "--accel", engine, "--cpus=2", "--timeout=60s"])
            .arg("--flat=0x200000:long")
            .arg(&image)
            .output()
            .expect("monovisor starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(33), "{engine}: {said}");
        assert_eq!(output.stdout, b"ok\n", "{engine}");
    }
}

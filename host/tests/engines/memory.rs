//! What a guest does takes no more of the host's memory the longer it goes on: it writes new code for ever,
//! and touches ports and addresses where nothing is.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program for `--flat 0x200000:long`: writes `add eax, constant; ret` with another constant each time, seven
/// bytes further on in 256 KiB, calls it, and writes to another port of those that nobody claims.
const NEW_CODE: &[u8] = &[
    0x48, 0xc7, 0xc4, 0, 0, 0x30, 0, // mov rsp, 0x300000
    0x48, 0xc7, 0xc7, 0, 0, 0x40, 0, // mov rdi, 0x400000
    0xc6, 0x07, 0x05, // mov byte ptr [rdi], 5
    0x89, 0x4f, 0x01, // mov [rdi + 1], ecx
    0xc6, 0x47, 0x05, 0xc3, // mov byte ptr [rdi + 5], 0xc3
    0xff, 0xd7, // call rdi
    0x89, 0xca, // mov edx, ecx
    0x80, 0xce, 0xc0, // or dh, 0xc0
    0xee, // out dx, al
    0x48, 0x83, 0xc7, 0x07, // add rdi, 7
    0x48, 0x81, 0xff, 0, 0, 0x44, 0, // cmp rdi, 0x440000
    0x72, 0x07, // jb
    0x48, 0xc7, 0xc7, 0, 0, 0x40, 0, // mov rdi, 0x400000
    0xff, 0xc1, // inc ecx
    0xeb, 0xd6, // jmp
];

/// What the guest has: all of it may be touched.
const RAM_KIB: u64 = 16 << 10;
/// Code caches, tables and the program itself, which a page is the unit of.
const OWN_KIB: u64 = 48 << 10;
/// What a library may still take after three seconds.
const SLACK_KIB: u64 = 512;

#[test]
fn new_code_for_ever_takes_no_more_memory() {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().join("image");
    std::fs::write(&path, NEW_CODE).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_monovisor"))
        .args(["run", "--accel=interp", "--memory=16M", "--flat=0x200000:long", "--timeout=60s"])
        .arg(&path)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("monovisor starts");
    let start = Instant::now();
    let mut sizes = Vec::new();
    for seconds in [3, 7] {
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(start.elapsed()));
        sizes.push(resident_kib(&child));
    }
    let runs = child.try_wait().expect("it can be waited for").is_none();
    child.kill().expect("it can be stopped");
    child.wait().expect("it can be waited for");
    assert!(runs, "the guest never ends");
    let [Some(early), Some(late)] = sizes[..] else { panic!("no sizes: {sizes:?}") };
    assert!(late <= early + SLACK_KIB, "{early} KiB, later {late} KiB");
    assert!(late <= RAM_KIB + OWN_KIB, "{late} KiB");
}

/// The resident set of a process.
fn resident_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

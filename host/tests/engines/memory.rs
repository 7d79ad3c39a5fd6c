//! What a guest does takes no more of the host's memory the longer it goes on: it writes new code for ever,
//! touches ports and addresses where nothing is, and makes requests of a disk, good ones and broken ones.

use std::arch::global_asm;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::guest::between;

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
/// What a library may still take in so many seconds.
const SLACK_KIB: u64 = 512;
const SECONDS: usize = 4;
/// Seconds after which it must have come to an end.
const PATIENCE: usize = 20;
/// Of a disk.
const DISK_BYTES: u64 = 1 << 20;

/// A program for `--flat 0x200000:long` that makes requests of the disk for ever: of every kind, with every
/// length, and in each round one whose descriptors lead back to themselves, which breaks the queue, so that
/// the device is reset and begins anew.
fn requests() -> &'static [u8] {
    unsafe extern "C" {
        static requests_start: u8;
        static requests_end: u8;
    }
    between(&raw const requests_start, &raw const requests_end)
}

global_asm!(
    ".pushsection .rodata",
    "requests_start:",
    // The device's registers at RBX, descriptors, available and used ring, header and status at RSI. RBP
    // counts requests.
    "mov ebx, 0xfeb00000",
    "mov esi, 0x400000",
    "xor ebp, ebp",
    // Status; VERSION_1; status; queue 0 with 16 entries and its parts; ready; status.
    "20:",
    "mov dword ptr [rbx + 0x70], 0",
    "mov dword ptr [rbx + 0x70], 3",
    "mov dword ptr [rbx + 0x24], 1",
    "mov dword ptr [rbx + 0x20], 1",
    "mov dword ptr [rbx + 0x70], 11",
    "mov dword ptr [rbx + 0x30], 0",
    "mov dword ptr [rbx + 0x38], 16",
    "mov dword ptr [rbx + 0x80], 0x400000",
    "mov dword ptr [rbx + 0x90], 0x401000",
    "mov dword ptr [rbx + 0xa0], 0x402000",
    "mov dword ptr [rbx + 0x44], 1",
    "mov dword ptr [rbx + 0x70], 15",
    "mov dword ptr [rsi + 0x1000], 0",
    "mov dword ptr [rsi + 0x2000], 0",
    "xor ecx, ecx",
    // The header at 0x403000: kind and sector.
    "21:",
    "inc ebp",
    "mov eax, ebp",
    "and eax, 15",
    "mov [rsi + 0x3000], eax",
    "mov eax, ebp",
    "shr eax, 4",
    "and eax, 0xfff",
    "mov [rsi + 0x3008], rax",
    // Three descriptors: header, up to 64 KiB that the device writes every other time, status.
    "mov qword ptr [rsi], 0x403000",
    "mov dword ptr [rsi + 8], 16",
    "mov dword ptr [rsi + 12], 0x10001",
    // The device reads and writes the same bytes, far from the program: it may look at descriptors while
    // the next request is made of them.
    "mov qword ptr [rsi + 16], 0x500000",
    "mov [rsi + 0x100000], ebp",
    "imul eax, ebp, 512",
    "movzx eax, ax",
    "mov [rsi + 24], eax",
    "mov eax, ebp",
    "not eax",
    "and eax, 1",
    "lea eax, [rax + rax + 0x20001]",
    "mov [rsi + 28], eax",
    "mov qword ptr [rsi + 32], 0x403100",
    "mov dword ptr [rsi + 40], 1",
    "mov dword ptr [rsi + 44], 2",
    "inc ecx",
    "cmp ecx, 16",
    "jne 23f",
    "mov dword ptr [rsi + 44], 3",
    "23:",
    "mov [rsi + 0x1002], cx",
    "mov dword ptr [rbx + 0x50], 0",
    "cmp ecx, 16",
    "jne 21b",
    "jmp 20b",
    "requests_end:",
    ".popsection",
);

#[test]
fn new_code_for_ever_takes_no_more_memory() {
    takes_no_more(NEW_CODE, &[]);
}

#[test]
fn requests_of_a_disk_for_ever_take_no_more_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    File::create(&disk).and_then(|file| file.set_len(DISK_BYTES)).expect("a file");
    takes_no_more(requests(), &["--disk", path(&disk)]);
    // It was served: what it has written are numbers of requests.
    let found = std::fs::read(&disk).expect("the disk");
    assert!(found.iter().any(|&byte| byte != 0), "the guest has written");
}

fn takes_no_more(program: &[u8], flags: &[&str]) {
    let directory = tempfile::tempdir().expect("a folder");
    let image = directory.path().join("image");
    std::fs::write(&image, program).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_monovisor"))
        .args(["run", "--accel=interp", "--memory=16M", "--flat=0x200000:long", "--timeout=60s"])
        .args(flags)
        .arg(&image)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("monovisor starts");
    // On a busy machine it takes a while until all that is bounded has been taken.
    let mut sizes = Vec::new();
    let has_settled = (0..PATIENCE).any(|_| {
        std::thread::sleep(Duration::from_secs(1));
        sizes.extend(resident_kib(&child));
        let before = sizes.len().checked_sub(SECONDS + 1).map(|index| sizes[index]);
        before.is_some_and(|before| sizes[sizes.len() - 1] <= before + SLACK_KIB)
    });
    let runs = child.try_wait().expect("it can be waited for").is_none();
    child.kill().expect("it can be stopped");
    child.wait().expect("it can be waited for");
    assert!(runs, "the guest never ends");
    assert!(has_settled, "KiB by the second: {sizes:?}");
    assert!(sizes.iter().all(|&size| size <= RAM_KIB + OWN_KIB), "KiB by the second: {sizes:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

/// The resident set of a process.
fn resident_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

//! Guests that mean no good, on both engines: whatever they do to devices and registers, the run ends as
//! they say, or with a report.

use std::arch::global_asm;
use std::process::{Command, Output};

use crate::{guest, has_kvm};

/// A 64-bit program for `--flat 0x200000:long`.
///
/// It reads and writes ports, device memory and model-specific registers at random, in all sizes and
/// across their ends, and goes on behind whatever it is refused. What would end the run it leaves out:
/// the ports that reset or switch off, and IPIs. It ends with exit code 33.
fn accesses() -> &'static [u8] {
    unsafe extern "C" {
        static hostile_start: u8;
        static hostile_end: u8;
    }
    guest::between(&raw const hostile_start, &raw const hostile_end)
}

fn run(engine: &str, image: &[u8], flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().join("image");
    std::fs::write(&path, image).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_monovisor"))
        .args(["run", "--accel", engine, "--memory=16M", "--flat=0x200000:long"])
        .args(flags)
        .arg(&path)
        .output()
        .expect("monovisor starts")
}

fn engines() -> &'static [&'static str] {
    if has_kvm() { &["interp", "kvm"] } else { &["interp"] }
}

#[test]
fn random_accesses_end_as_the_guest_says() {
    for engine in engines() {
        let output = run(engine, accesses(), &["--timeout=60s"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(33), "{engine}: {said}");
    }
}

#[test]
fn code_where_no_memory_is_ends_with_a_report() {
    // `mov eax, 0xf0000000; jmp rax`
    let image = b"\xb8\x00\x00\x00\xf0\xff\xe0";
    for (engine, code, words) in
        [("interp", 134, "triple fault"), ("kvm", 125, "would have to emulate and cannot")]
    {
        if !engines().contains(&engine) {
            continue;
        }
        let output = run(engine, image, &["--timeout=60s"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{engine}: {said}");
        let sentence = said.lines().next().unwrap_or_default();
        assert!(sentence.contains(words), "{engine}: {said}");
        for part in ["at 0xf0000000", "there is no memory", "\nregisters\n", "rip 00000000f0000000"]
        {
            assert!(said.contains(part), "{engine}: no {part:?} in {said}");
        }
    }
}

#[test]
fn a_guest_that_never_leaves_is_stopped() {
    for engine in engines() {
        // `jmp $`
        let output = run(engine, b"\xeb\xfe", &["--timeout=200ms"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(124), "{engine}: {said}");
        assert!(said.contains("at 0x200000"), "{engine}: {said}");
    }
}

global_asm!(
    ".pushsection .rodata",
    "hostile_start:",
    "mov rsp, 0x280000",
    // The interrupt table at 0x300000: what pushes an error code, and what does not.
    "mov edi, 0x300000",
    "xor r14d, r14d",
    "10:",
    "lea rax, [rip + 90f]",
    "mov ecx, 0x27d00",
    "bt ecx, r14d",
    "jnc 11f",
    "cmp r14d, 32",
    "jae 11f",
    "lea rax, [rip + 91f]",
    "11:",
    "mov [rdi], ax",
    "mov [rdi + 2], cs",
    "mov word ptr [rdi + 4], 0x8e00",
    "shr rax, 16",
    "mov [rdi + 6], ax",
    "mov qword ptr [rdi + 8], 0",
    "add edi, 16",
    "inc r14d",
    "cmp r14d, 256",
    "jb 10b",
    "lidt [rip + 80f]",
    "mov rbx, 0x9e3779b97f4a7c15",
    // Ports. R15 is where a fault goes on, R14 counts.
    "mov r14d, 3000",
    "20:",
    "lea r15, [rip + 29f]",
    "call 93f",
    "mov edx, ebx",
    "and edx, 0xfff",
    "mov ecx, edx",
    "call 94f",
    "je 29f",
    "lea ecx, [edx + 3]",
    "call 94f",
    "je 29f",
    "mov esi, 0x310000",
    "mov edi, 0x310000",
    "mov rbp, rbx",
    "shr rbp, 20",
    "and ebp, 7",
    "mov eax, ebx",
    "lea r13, [rip + 70f]",
    "jmp 95f",
    "21: in al, dx",
    "jmp 29f",
    "22: in ax, dx",
    "jmp 29f",
    "23: in eax, dx",
    "jmp 29f",
    "24: out dx, al",
    "jmp 29f",
    "25: out dx, ax",
    "jmp 29f",
    "26: out dx, eax",
    "jmp 29f",
    "27: mov ecx, 5",
    "rep insb",
    "jmp 29f",
    "28: mov ecx, 3",
    "rep outsd",
    "29:",
    "dec r14d",
    "jnz 20b",
    // Memory of devices, where none is, and across the end of RAM.
    "mov r14d, 3000",
    "30:",
    "lea r15, [rip + 39f]",
    "call 93f",
    "mov ecx, ebx",
    "shr ecx, 8",
    "and ecx, 7",
    "lea rdx, [rip + 71f]",
    "mov esi, [rdx + rcx * 4]",
    "mov edx, ebx",
    "shr edx, 12",
    "and edx, 0xfff",
    "cmp ecx, 1",
    "ja 31f",
    // Not the interrupt command register of the local APIC.
    "lea edi, [edx - 0x2e8]",
    "cmp edi, 0x48",
    "jb 39f",
    "31:",
    "add rsi, rdx",
    "mov edi, 0x310000",
    "mov rbp, rbx",
    "shr rbp, 32",
    "and ebp, 7",
    "mov rax, rbx",
    "lea r13, [rip + 72f]",
    "jmp 95f",
    "32: mov al, [rsi]",
    "jmp 39f",
    "33: mov ax, [rsi]",
    "jmp 39f",
    "34: mov rax, [rsi]",
    "jmp 39f",
    "35: mov [rsi], al",
    "jmp 39f",
    "36: mov [rsi], eax",
    "jmp 39f",
    "37: mov [rsi], rax",
    "jmp 39f",
    "38: mov ecx, 13",
    "rep movsb",
    "jmp 39f",
    "40: lock xadd [rsi], eax",
    "39:",
    "dec r14d",
    "jnz 30b",
    // Model-specific registers.
    "mov r14d, 3000",
    "50:",
    "lea r15, [rip + 59f]",
    "call 93f",
    "mov ecx, ebx",
    "shr ecx, 8",
    "and ecx, 7",
    "lea rdx, [rip + 73f]",
    "mov ecx, [rdx + rcx * 4]",
    "movzx eax, bl",
    "add ecx, eax",
    "mov rax, rbx",
    "shr rax, 16",
    "xor edx, edx",
    "bt rbx, 60",
    "jc 51f",
    "rdmsr",
    "jmp 59f",
    "51:",
    "movzx eax, al",
    "bt rbx, 61",
    "jc 52f",
    "mov rdx, rbx",
    "52: wrmsr",
    "59:",
    "dec r14d",
    "jnz 50b",
    "mov al, 16",
    "out 0xf4, al",
    "60: jmp 60b",
    // Faults with and without an error code: on at R15.
    "91: add rsp, 8",
    "90: mov [rsp], r15",
    "iretq",
    // The next random number (xorshift).
    "93:",
    "mov rax, rbx",
    "shl rax, 13",
    "xor rbx, rax",
    "mov rax, rbx",
    "shr rax, 7",
    "xor rbx, rax",
    "mov rax, rbx",
    "shl rax, 17",
    "xor rbx, rax",
    "ret",
    // ZF: the port in ECX is none of those to be touched.
    "94:",
    "and ecx, 0xff0",
    "cmp ecx, 0x60",
    "je 98f",
    "cmp ecx, 0x90",
    "je 98f",
    "cmp ecx, 0xe0",
    "je 98f",
    "cmp ecx, 0xf0",
    "je 98f",
    "cmp ecx, 0x600",
    "je 98f",
    "cmp ecx, 0xcf0",
    "98: ret",
    // To the entry EBP of the table at R13, whose offsets are from there.
    "95:",
    "movsxd rbp, dword ptr [r13 + rbp * 4]",
    "add r13, rbp",
    "jmp r13",
    ".balign 4",
    "70: .long 21b - 70b, 22b - 70b, 23b - 70b, 24b - 70b, 25b - 70b, 26b - 70b, 27b - 70b, 28b - 70b",
    // Local APIC twice, I/O APIC, virtio, nothing, the ends of RAM and of 4 GiB, and behind the gap.
    "71: .long 0xfee00000, 0xfee00000, 0xfec00000, 0xfeb00000, 0xf0000000, 0xfff800, 0xfffff000",
    ".long 0xfeeff800",
    "72: .long 32b - 72b, 33b - 72b, 34b - 72b, 35b - 72b, 36b - 72b, 37b - 72b, 38b - 72b, 40b - 72b",
    "73: .long 0, 0x100, 0x200, 0x600, 0xc0000000, 0xc0000100, 0xc0010000, 0x4b564d00",
    "80: .short 0xfff",
    ".quad 0x300000",
    "hostile_end:",
    ".popsection",
);

//! Images of every protocol on both engines: each says a letter on the serial port and exits with a
//! code of its own. Where there is no KVM, its half is skipped and says so.

use std::process::Command;

use crate::builder::*;

/// `mov dx, 0x3f8; mov al, 'k'; out dx, al; mov al, 42; out 0xf4, al; jmp $`, in 32- and 64-bit code.
const HELLO: &[u8] = b"\x66\xba\xf8\x03\xb0k\xee\xb0\x2a\xe6\xf4\xeb\xfe";
/// The same in 16-bit code.
const HELLO_16: &[u8] = b"\xba\xf8\x03\xb0k\xee\xb0\x2a\xe6\xf4\xeb\xfe";

fn check(name: &str, image: Vec<u8>, flags: &[&str]) {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(directory.path().join("image"), image).unwrap();
    for engine in ["interp", "kvm"] {
        let output = Command::new(env!("CARGO_BIN_EXE_monovisor"))
            .current_dir(directory.path())
            .args(["run", "--accel", engine, "--debug-exit=raw", "--timeout=20s"])
            .args(flags)
            .arg("image")
            .output()
            .expect("monovisor starts");
        let said = String::from_utf8_lossy(&output.stderr);
        if engine == "kvm" && said.starts_with("monovisor: KVM cannot be used: ") {
            assert_eq!(output.status.code(), Some(125));
            eprint!("skipped: {said}");
            continue;
        }
        let came = (output.status.code(), &*output.stdout);
        assert_eq!(came, (Some(42), &b"k"[..]), "{name} on {engine}: {said}");
        assert!(said.is_empty(), "{name} on {engine}: {said}");
    }
}

/// [`HELLO`] with a boot header behind it.
fn with_header(header: Vec<u8>) -> Vec<Segment> {
    let mut segment = Segment { contents: HELLO.to_vec(), ..code() };
    segment.contents.resize(24, 0);
    segment.contents.extend(header);
    vec![segment]
}

#[test]
fn elf_runs() {
    let hello = || Segment { contents: HELLO.to_vec(), ..code() };
    check("ELF64", Elf::new_64(vec![hello()]).build(), &[]);
    check("ELF32", Elf::new_32(vec![hello()]).build(), &[]);
    check("PVH", Elf::new_64(vec![hello(), pvh_note(BASE as u32)]).build(), &[]);
}

#[test]
fn multiboot_runs() {
    check("Multiboot, ELF32", Elf::new_32(with_header(multiboot1_header(0, &[]))).build(), &[]);
    check("Multiboot, ELF64", Elf::new_64(with_header(multiboot1_header(0, &[]))).build(), &[]);
    check("Multiboot 2", Elf::new_64(with_header(multiboot2_header(&[]))).build(), &[]);
    let base = BASE as u32;
    let mut fields = multiboot1_header(1 << 16, &[base, base, 0, 0, base + 32]);
    fields.extend(HELLO);
    check("Multiboot, address fields", fields, &[]);
}

#[test]
fn linux_runs() {
    let mut kernel = linux();
    kernel[1024 + 0x200..][..HELLO.len()].copy_from_slice(HELLO);
    check("Linux", kernel, &[]);
    let mut kernel = linux();
    kernel[0x236] = 0;
    kernel[1024..][..HELLO.len()].copy_from_slice(HELLO);
    check("Linux, 32 bits", kernel, &[]);
}

#[test]
fn flat_images_run() {
    check("real", HELLO_16.to_vec(), &["--flat=0x7c00"]);
    check("real, with a segment", HELLO_16.to_vec(), &["--flat=0x20008:real"]);
    check("protected", HELLO.to_vec(), &["--flat=0x7c00:protected"]);
    check("long", HELLO.to_vec(), &["--flat=0x200000:long"]);
}

#[test]
fn a_reset_ends_the_run_or_boots_again() {
    let reset = b"\xb0\xfe\xe6\x64\xeb\xfe".to_vec();
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(directory.path().join("image"), reset).unwrap();
    let run = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monovisor"));
        command.current_dir(directory.path()).args(["run", "--flat=0x7c00"]).args(flags);
        command.arg("image").output().expect("monovisor starts")
    };
    assert_eq!(run(&[]).status.code(), Some(134));
    assert_eq!(run(&["--reboot", "--max-instructions=1000"]).status.code(), Some(124));
}

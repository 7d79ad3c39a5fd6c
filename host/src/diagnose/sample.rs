//! A small higher-half kernel with symbols and DWARF, for tests. `cc`, which rustc needs to link
//! anyway, builds it on the spot.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = r#"
__attribute__((always_inline)) static inline void touch(volatile int *place) {
    *place = 1;
}
__attribute__((noinline)) void inner(volatile int *place) {
    touch(place);
}
void _start(void) {
    inner((volatile int *)0x1234);
    __builtin_trap();
}
asm(".globl label\nlabel: nop\nnop\n");
"#;

const SCRIPT: &str = "SECTIONS {
    . = 0xffffffff80100000;
    .text : AT(0x100000) { *(.text*) }
    /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame*) }
}";

/// The small kernel: linked at 0xffffffff80100000, loaded at 0x100000.
pub fn kernel() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let script = tempfile::NamedTempFile::new().unwrap();
        fs::write(&script, SCRIPT).unwrap();
        let script = format!("-Wl,-T,{}", script.path().display());
        build("kernel.c", SOURCE, &["-g", "-O1", "-ffreestanding", "-mcmodel=kernel", &script])
    })
}

/// The image that `cc` makes of one source file.
pub fn build(name: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), source).unwrap();
    let status = Command::new("cc")
        .args(["-nostdlib", "-static", "-no-pie", "-fno-pic", "-Wl,--build-id=none"])
        .args(flags)
        .args(["-o", "image", name])
        .current_dir(&directory)
        .status();
    assert!(status.unwrap().success(), "cc builds {name}");
    fs::read(directory.path().join("image")).unwrap()
}

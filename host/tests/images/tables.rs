//! What can't be said in a table of mutations: images that are wrong in two places at once, and
//! those beside which something else is wrong.

use std::path::Path;

use monovisor::boot::Image;
use monovisor::config::{EntryMode, Flat, Module, VmConfig};

use crate::builder::*;

fn sentence(file: Vec<u8>, config: &VmConfig) -> String {
    let error = load(file, config).map(|(loaded, _)| loaded.entry).unwrap_err();
    assert_eq!(error.exit_code(), 126);
    error.to_string()
}

#[test]
fn overlapping_segments_are_named_with_their_places() {
    let other = Segment::new(PT_LOAD, BASE + 0x800, &[0; 16]);
    let said = sentence(Elf::new_64(vec![code(), other]).build(), &config());
    assert!(said.contains("segment 1 at 0x100800..0x100810"), "{said}");
    assert!(said.contains("overlaps the segment 0 at 0x100000..0x101000"), "{said}");
}

#[test]
fn flat_images_have_limits_too() {
    let table = [
        (0x3ff_ffff, EntryMode::Protected, "not within the guest's RAM"),
        (u64::MAX - 1, EntryMode::Long, "beyond the end of the address space"),
        (0x10_0000, EntryMode::Real, "below 0x100000"),
        (0x9_0000, EntryMode::Long, "overlaps the boot structures"),
        (0x8_8000, EntryMode::Protected, "overlaps the initial stack"),
    ];
    for (address, mode, expected) in table {
        let flat = Flat { load_address: address, entry: address, mode };
        let config = VmConfig { flat: Some(flat), memory_bytes: 64 << 20, ..VmConfig::default() };
        let said = sentence(vec![0xf4; 64], &config);
        assert!(said.contains(expected), "{address:#x}: {said}");
    }
}

#[test]
fn modules_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(100 << 30).unwrap();
    let missing = directory.path().join("missing");
    let table = [(&large, 126, "not within the guest's RAM"), (&missing, 127, "no such file")];
    let images = [linux(), Elf::new_64(vec![code()]).build(), Elf::new_32(vec![code()]).build()];
    for (path, code, expected) in table {
        let module = Module { path: path.clone(), command_line: String::new() };
        let config = VmConfig { modules: vec![module], ..config() };
        for image in &images {
            let error = load(image.clone(), &config).map(|(loaded, _)| loaded.entry).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with(path.to_str().unwrap()) && said.contains(expected), "{said}");
            assert_eq!(error.exit_code(), code);
        }
    }
}

#[test]
fn too_much_for_the_boot_structures_is_refused() {
    let line = VmConfig { command_line: "x".repeat(20_000), ..VmConfig::default() };
    for image in [Elf::new_64(vec![code()]).build(), Elf::new_32(vec![code()]).build()] {
        let said = sentence(image, &line);
        assert!(said.contains("no room for the command line"), "{said}");
    }
    let said = sentence(linux(), &line);
    assert!(said.contains("20000 bytes, and only 2047 fit"), "{said}");
    let module = Module { path: "/dev/null".into(), command_line: String::new() };
    let modules = VmConfig { modules: vec![module.clone(), module], ..VmConfig::default() };
    let said = sentence(linux(), &modules);
    assert!(said.contains("one module, its initial RAM disk, and there are 2"), "{said}");
}

#[test]
fn control_characters_of_a_file_name_are_not_printed() {
    let error = Image::open(Path::new("no\u{1b}[2Jsuch\nfile")).unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{error}");
}

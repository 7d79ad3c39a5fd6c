//! One damage at a time to valid images: each is refused with a sentence that names it.

use crate::builder::*;

type Damage = fn(&mut Vec<u8>);

fn set16(file: &mut [u8], offset: usize, value: u16) {
    file[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

fn set32(file: &mut [u8], offset: usize, value: u32) {
    file[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

fn set64(file: &mut [u8], offset: usize, value: u64) {
    file[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

/// Applies each damage to `image` alone and checks the sentence and the exit code.
fn check(image: &[u8], table: &[(Damage, &str)]) {
    assert!(load(image.to_vec(), &config()).is_ok(), "undamaged, the image is fine");
    for (damage, expected) in table {
        let mut file = image.to_vec();
        damage(&mut file);
        let error = match load(file, &config()) {
            Err(error) => error,
            Ok((loaded, _)) => panic!("accepted as {}; expected {expected:?}", loaded.protocol),
        };
        let said = error.to_string();
        assert!(said.contains(expected), "{said:?} has no {expected:?}");
        assert!(said.starts_with("image: ") && !said.contains('\n'), "{said:?}");
        assert_eq!(error.exit_code(), 126);
    }
}

#[test]
fn elf64_headers() {
    // Offsets in an ELF64 header, and in the program header that follows at 64.
    check(
        &Elf::new_64(vec![code()]).build(),
        &[
            (|f| f[0] = 0, "in no format that monovisor boots"),
            (|f| f.truncate(10), "its ELF header ends at byte 16 and the file at byte 10"),
            (|f| f.truncate(40), "truncated: its ELF header"),
            (|f| f.truncate(100), "truncated: its program header table"),
            (|f| f.truncate(f.len() - 1), "truncated: its segment 0"),
            (|f| f[4] = 7, "its class is 7"),
            (|f| f[5] = 2, "big-endian"),
            (|f| set16(f, 16, 1), "an object file"),
            (|f| set16(f, 16, 4), "a core dump"),
            (|f| set16(f, 16, 0xfe00), "its type is 65024"),
            (|f| set16(f, 18, 183), "built for AArch64"),
            (|f| set16(f, 18, 243), "built for RISC-V"),
            (|f| set16(f, 18, 9999), "built for machine 9999"),
            (|f| set16(f, 18, EM_386), "i386 in 64-bit form"),
            (|f| set64(f, 24, 0), "entry point 0x0 is in no loaded segment"),
            (|f| set64(f, 24, BASE + 4096), "entry point 0x101000 is in no loaded segment"),
            (|f| set64(f, 24, u64::MAX), "is in no loaded segment"),
            (|f| set64(f, 32, u64::MAX - 8), "truncated: its program header table"),
            (|f| set16(f, 54, 0), "its program header size is 0"),
            (|f| set16(f, 54, 57), "its program header size is 57"),
            (|f| set16(f, 56, 0), "no segment to load"),
            (|f| set16(f, 56, 0xffff), "truncated: its program header table"),
        ],
    );
}

#[test]
fn elf64_segments() {
    check(
        &Elf::new_64(vec![code()]).build(),
        &[
            (|f| set32(f, 64, PT_NOTE), "no segment to load"),
            (|f| set32(f, 64, PT_INTERP), "it asks for the dynamic linker"),
            (|f| set64(f, 64 + 8, 1 << 40), "truncated: its segment 0"),
            (|f| set64(f, 64 + 8, u64::MAX), "truncated: its segment 0"),
            (|f| set64(f, 64 + 24, 0x9_0000), "overlaps the boot structures at 0x90000..0xa0000"),
            (|f| set64(f, 64 + 24, 0x8_0000), "overlaps the initial stack at 0x80000..0x90000"),
            (|f| set64(f, 64 + 24, 64 << 20), "not within the guest's RAM of 0x4000000 bytes"),
            (|f| set64(f, 64 + 24, (64 << 20) - 4), "try a larger --memory"),
            (|f| set64(f, 64 + 24, 0xfee0_0000), "not within the guest's RAM"),
            (|f| set64(f, 64 + 24, u64::MAX - 100), "beyond the end of the address space"),
            (|f| set64(f, 64 + 32, 8192), "takes 4096 bytes in memory and more, 8192, in the file"),
            (|f| set64(f, 64 + 32, u64::MAX), "takes 4096 bytes in memory and more"),
            (|f| set64(f, 64 + 40, 0), "takes 0 bytes in memory and more"),
            (|f| set64(f, 64 + 40, 1 << 40), "not within the guest's RAM"),
            (|f| set64(f, 64 + 40, u64::MAX), "beyond the end of the address space"),
        ],
    );
}

#[test]
fn elf32_headers() {
    check(
        &Elf::new_32(vec![code()]).build(),
        &[
            (|f| set16(f, 18, EM_X86_64), "x86-64 in 32-bit form (x32)"),
            (|f| set32(f, 24, 0), "entry point 0x0 is in no loaded segment"),
            (|f| set16(f, 42, 56), "its program header size is 56"),
            (|f| set32(f, 52 + 12, 0xffff_f800), "not within the guest's RAM"),
            (|f| set32(f, 52 + 20, 0xffff_ffff), "not within the guest's RAM"),
        ],
    );
}

#[test]
fn relocations() {
    let mut contents = vec![0; 512];
    for (offset, value) in [(128, 64u64), (136, 8), (144, 0x1234)] {
        set64(&mut contents, offset, value);
    }
    for (index, value) in [7u64, 128, 8, 24, 9, 24, 0, 0].into_iter().enumerate() {
        set64(&mut contents, 256 + 8 * index, value);
    }
    let mut elf = Elf::new_64(vec![
        Segment::new(PT_LOAD, 0, &contents),
        Segment::new(PT_DYNAMIC, 256, &contents[256..320]),
    ]);
    (elf.kind, elf.entry) = (ET_DYN, 16);
    /// Where the contents begin in the file, and where the dynamic section's copy does.
    const CONTENTS: usize = 64 + 2 * 56;
    const DYNAMIC: usize = CONTENTS + 512;
    check(
        &elf.build(),
        &[
            (|f| set64(f, CONTENTS + 136, 37), "is of type 37"),
            (|f| set64(f, CONTENTS + 128, 505), "changes 0x1f9, which is in no loaded segment"),
            (|f| set64(f, CONTENTS + 128, u64::MAX), "which is in no loaded segment"),
            (|f| set64(f, DYNAMIC + 8, 500), "in no loaded segment"),
            (|f| set64(f, DYNAMIC + 24, u64::MAX), "in no loaded segment"),
            (|f| set64(f, DYNAMIC, 17), "relocations without addends"),
            (|f| set64(f, DYNAMIC, 36), "packed relocations"),
            (|f| set64(f, DYNAMIC, 23), "a procedure linkage table"),
            (|f| set64(f, 64 + 56 + 8, 1 << 40), "truncated: its relocation table"),
            (|f| set64(f, 64 + 48, 1 << 63), "not within the guest's RAM"),
        ],
    );
}

#[test]
fn multiboot1_headers() {
    let base = BASE as u32;
    let fields = [base + 32, base, base + 80, base + 4096, base + 8];
    let mut file = vec![0; 32];
    file.extend(multiboot1_header(1 << 16, &fields));
    file.resize(80, 0);
    /// Damages a flag without breaking the checksum.
    fn flags(file: &mut [u8], flags: u32) {
        set32(file, 36, flags);
        set32(file, 40, 0u32.wrapping_sub(0x1bad_b002).wrapping_sub(flags));
    }
    check(
        &file,
        &[
            (|f| set32(f, 40, 0), "in no format that monovisor boots"),
            (|f| flags(f, 1 << 16 | 8), "asks for features 0x8"),
            (|f| flags(f, 0), "not ELF, and the header has no address fields"),
            (|f| set32(f, 44, 0), "header_addr is below load_addr"),
            (|f| set32(f, 44, u32::MAX), "load_addr is before the beginning of the file"),
            (|f| set32(f, 52, 1), "load_end_addr is below load_addr"),
            (|f| set32(f, 52, BASE as u32 + 200), "truncated: its contents"),
            (|f| set32(f, 56, 1), "bss_end_addr is below load_addr"),
            (|f| set32(f, 56, BASE as u32 + 8), "takes 8 bytes in memory and more, 80"),
            (|f| set32(f, 56, u32::MAX), "not within the guest's RAM"),
            (|f| set32(f, 60, 0), "entry point 0x0 is in no loaded segment"),
            (|f| f.truncate(50), "truncated: its boot header"),
        ],
    );
}

#[test]
fn multiboot2_headers() {
    let base = BASE as u32;
    let mut file = multiboot2_header(&[
        (2, 0, &[base, base, 0, base + 4096]),
        (3, 0, &[base + 8]),
        (10, 0, &[0, 0, 1, 0]),
    ]);
    file.resize(200, 0);
    // Tags: the address tag at 16, the entry address tag at 40, the relocatable tag at 56.
    check(
        &file,
        &[
            (|f| set32(f, 12, 0), "in no format that monovisor boots"),
            (
                |f| (set32(f, 4, 4), set32(f, 12, 0u32.wrapping_sub(0xe852_50d6 + 4 + 88))).1,
                "another architecture",
            ),
            (|f| set16(f, 40, 99), "a feature of type 99"),
            (|f| set16(f, 40, 7), "asks for EFI firmware"),
            (|f| (set16(f, 40, 1), set32(f, 48, 22)).1, "information of type 22"),
            (|f| set16(f, 16, 6), "not ELF, and the header has no address tag"),
            (|f| set16(f, 40, 6), "no entry address tag"),
            (|f| set32(f, 20, 4), "a tag is longer than the header"),
            (|f| set32(f, 20, u32::MAX), "a tag is longer than the header"),
            (|f| set32(f, 20, 8), "a tag is too short"),
            (|f| set32(f, 24, 0), "header_addr is below load_addr"),
            (|f| set32(f, 36, 7), "bss_end_addr is below load_addr"),
            (|f| set32(f, 48, 0), "entry point 0x0"),
            (|f| f.truncate(80), "it does not end in its file"),
        ],
    );
}

#[test]
fn pvh_entry() {
    let file = Elf::new_64(vec![code(), pvh_note(BASE as u32)]).build();
    // The note's content is the last word of the file.
    check(
        &file,
        &[
            (|f| (f.len() - 4..f.len()).for_each(|at| f[at] = 0), "entry point 0x0 is in no"),
            (|f| f.truncate(f.len() - 20), "truncated"),
        ],
    );
}

#[test]
fn linux_headers() {
    check(
        &linux(),
        &[
            (|f| set16(f, 0x206, 0x204), "speaks boot protocol 2.4, and 2.10 is needed"),
            (|f| f[0x211] = 0, "it is a zImage"),
            (|f| f[0x1f1] = 200, "truncated: its kernel"),
            (|f| f.truncate(0x230), "truncated: its boot header"),
            (|f| f.truncate(1024 + 0x200), "truncated: its kernel"),
            (|f| set32(f, 0x260, u32::MAX), "not within the guest's RAM"),
            (|f| set32(f, 0x238, 3), "9 bytes, and only 3 fit"),
            (|f| (f[0x234] = 0, set64(f, 0x258, 0x9_8000)).1, "overlaps the boot structures"),
            (
                |f| (f[0x234] = 0, set64(f, 0x258, u64::MAX)).1,
                "beyond the end of the address space",
            ),
        ],
    );
}

//! Each boot protocol with a valid image: what is in memory and in the registers at entry.

use monovisor::config::{EntryMode, Flat, Module, VmConfig};
use monovisor_core::state::{Register, SegmentRegister};

use crate::builder::*;

/// Two modules in files that vanish with the returned directory.
fn with_modules(config: VmConfig) -> (VmConfig, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let modules = [("first", "the first module", ""), ("second", "2nd", "a b")];
    let modules = modules.map(|(name, contents, command_line)| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).expect("a temporary file can be written");
        Module { path, command_line: command_line.to_owned() }
    });
    (VmConfig { modules: modules.to_vec(), ..config }, directory)
}

#[test]
fn multiboot1_by_elf_of_both_classes() {
    for elf in [Elf::new_32 as fn(_) -> _, Elf::new_64] {
        let mut segment = code();
        segment.contents.resize(32, 0);
        segment.contents.extend(multiboot1_header(3, &[]));
        let (config, _directory) = with_modules(config());
        let (loaded, ram) = load(elf(vec![segment]).build(), &config).unwrap();
        assert_eq!((loaded.protocol, loaded.entry), ("Multiboot", BASE));
        assert_eq!(read(&ram, BASE + 3), *b"monovisor code");

        let state = &loaded.state;
        assert_eq!(state.gpr[Register::Rax], 0x2bad_b002);
        assert!(state.protected() && !state.paging() && state.bitness() == 32);
        assert_eq!(state.rflags.bits(), 2);
        let info = state.gpr[Register::Rbx];
        let field = |offset| read32(&ram, info + offset);
        let text = |offset| read_string(&ram, field(offset).into());
        assert_eq!(field(0) & 0x24d, 0x24d, "flags");
        assert_eq!((field(4), field(8)), (0x9_0000 >> 10, (63 << 20) >> 10), "KiB of memory");
        assert_eq!(read(&ram, 0x413), 576u16.to_le_bytes(), "the BIOS data area's word for them");
        assert_eq!(text(16), "image one two=2");
        assert!(text(64).starts_with("monovisor "));
        assert_eq!(field(20), 2, "modules");
        let second = u64::from(field(24)) + 16;
        let (start, end) = (read32(&ram, second), read32(&ram, second + 4));
        assert_eq!((start % 4096, end - start), (0, 3));
        assert_eq!(read(&ram, start.into()), *b"2nd");
        assert!(read_string(&ram, read32(&ram, second + 8).into()).ends_with("/second a b"));

        let map: Vec<_> = (0..u64::from(field(44)) / 24)
            .map(|index| u64::from(field(48)) + 24 * index)
            .map(|at| (read32(&ram, at), read64(&ram, at + 4), read32(&ram, at + 20)))
            .collect();
        assert_eq!(map[0], (20, 0, 1));
        assert_eq!(map[1], (20, 0x9_0000, 2));
        assert_eq!(map[2], (20, BASE, 1));
    }
}

#[test]
fn multiboot1_by_address_fields() {
    let mut file = b"before".to_vec();
    file.resize(64, 0);
    let base = BASE as u32;
    // The header is 32 bytes into what is loaded, which ends before the file does.
    file.extend(multiboot1_header(1 << 16, &[base + 32, base, base + 80, base + 4096, base + 8]));
    file.resize(32 + 80, 0x11);
    file.extend([0x22; 100]);
    let (loaded, ram) = load(file, &config()).unwrap();
    assert_eq!((loaded.protocol, loaded.entry), ("Multiboot", BASE + 8));
    assert_eq!(read32(&ram, BASE + 32), 0x1bad_b002);
    assert_eq!(read(&ram, BASE + 79), [0x11, 0]);
}

#[test]
fn multiboot2_tags() {
    let mut segment = code();
    segment.contents.resize(24, 0);
    // Required information, page-aligned modules, and an entry point of its own.
    let tags: &[(u16, u16, &[u32])] =
        &[(1, 0, &[1, 6]), (3, 0, &[BASE as u32 + 1]), (6, 0, &[]), (9, 1, &[0])];
    segment.contents.extend(multiboot2_header(tags));
    let (config, _directory) = with_modules(config());
    let (loaded, ram) = load(Elf::new_64(vec![segment]).build(), &config).unwrap();
    assert_eq!((loaded.protocol, loaded.entry), ("Multiboot 2", BASE + 1));
    assert_eq!(loaded.state.gpr[Register::Rax], 0x36d7_6289);

    let info = loaded.state.gpr[Register::Rbx];
    assert_eq!(info % 8, 0);
    let end = info + u64::from(read32(&ram, info));
    let mut tags = Vec::new();
    let mut at = info + 8;
    while at < end {
        let (kind, size) = (read32(&ram, at), u64::from(read32(&ram, at + 4)));
        tags.push((kind, at, size));
        at += size.next_multiple_of(8);
    }
    let kinds: Vec<_> = tags.iter().map(|&(kind, ..)| kind).collect();
    assert_eq!((at, kinds), (end, vec![1, 2, 3, 3, 4, 6, 14, 15, 0]));
    assert_eq!(read_string(&ram, tags[0].1 + 8), "one two=2");
    let (start, end) = (read32(&ram, tags[3].1 + 8), read32(&ram, tags[3].1 + 12));
    assert_eq!((start % 4096, read(&ram, start.into()), end - start), (0, *b"2nd", 3));
    assert_eq!(read_string(&ram, tags[3].1 + 16), "a b");
    let map = tags[5].1;
    assert_eq!((read32(&ram, map + 8), read32(&ram, map + 12)), (24, 0));
    assert_eq!(read64(&ram, map + 16 + 24), 0x9_0000);
    assert_eq!(read32(&ram, map + 16 + 24 + 16), 2);
}

#[test]
fn multiboot2_moves_a_relocatable_image() {
    let mut segment = code();
    segment.contents.resize(24, 0);
    let relocatable: &[u32] = &[0x80_0000, 0xff_ffff, 0x1_0000, 1];
    segment.contents.extend(multiboot2_header(&[(10, 0, relocatable)]));
    let (loaded, ram) = load(Elf::new_64(vec![segment]).build(), &config()).unwrap();
    assert_eq!((loaded.entry, loaded.bias), (0x80_0000, 0x70_0000));
    let info = loaded.state.gpr[Register::Rbx];
    assert_eq!([8, 12, 16].map(|offset| read32(&ram, info + offset)), [21, 12, 0x80_0000]);
}

#[test]
fn pvh_start_info() {
    let file = Elf::new_64(vec![code(), pvh_note(BASE as u32 + 3)]).build();
    let (config, _directory) = with_modules(config());
    let (loaded, ram) = load(file, &config).unwrap();
    assert_eq!((loaded.protocol, loaded.entry), ("PVH", BASE + 3));
    assert!(loaded.state.protected() && loaded.state.bitness() == 32);
    check_start_info(&ram, loaded.state.gpr[Register::Rbx]);
}

fn check_start_info(ram: &monovisor::memory::GuestRam, info: u64) {
    assert_eq!((read32(ram, info), read32(ram, info + 4)), (0x336e_c578, 1));
    assert_eq!(read_string(ram, read64(ram, info + 24)), "one two=2");
    assert_eq!(read32(ram, info + 12), 2, "modules");
    let second = read64(ram, info + 16) + 32;
    assert_eq!(read(ram, read64(ram, second)), *b"2nd");
    assert_eq!(read64(ram, second + 8), 3);
    assert_eq!(read_string(ram, read64(ram, second + 16)), "a b");
    let (map, count) = (read64(ram, info + 40), read32(ram, info + 48));
    assert_eq!(count, 4);
    assert_eq!((read64(ram, map), read32(ram, map + 16)), (0, 1));
    assert_eq!((read64(ram, map + 48), read64(ram, map + 56)), (BASE, 63 << 20));
}

#[test]
fn plain_elf64_enters_long_mode_like_a_function() {
    let (config, _directory) = with_modules(config());
    let (loaded, ram) = load(Elf::new_64(vec![code()]).build(), &config).unwrap();
    let state = &loaded.state;
    assert_eq!((loaded.protocol, state.rip, state.bitness()), ("ELF", BASE, 64));
    assert!(state.paging() && state.long_mode() && state.cpl() == 0);
    assert_eq!((state.gpr[Register::Rsp] + 8) % 16, 0);
    check_start_info(&ram, state.gpr[Register::Rdi]);

    // The page tables map the first 4 GiB to themselves, by 2 MiB pages.
    let entry = |table: u64, index: u64| read64(&ram, (table & !0xfff) + 8 * index);
    let pointers = entry(state.control.cr3, 0);
    for address in [0, BASE, 0x20_0000, 0xbfff_ffff, 0xfee0_0000, 0xffff_ffffu64] {
        let directory = entry(pointers, address >> 30);
        let page = entry(directory, address >> 21 & 511);
        assert_eq!(page, address >> 21 << 21 | 0x83, "{address:#x}");
    }
    assert_eq!(read64(&ram, state.gdtr.base + 0x10) >> 53 & 1, 1, "the code segment is 64-bit");
}

#[test]
fn plain_elf32_enters_protected_mode_like_a_function() {
    let (config, _directory) = with_modules(config());
    let (loaded, ram) = load(Elf::new_32(vec![code()]).build(), &config).unwrap();
    let state = &loaded.state;
    assert_eq!((loaded.protocol, state.rip, state.bitness()), ("ELF", BASE, 32));
    assert!(state.protected() && !state.paging());
    let stack = state.gpr[Register::Rsp];
    assert_eq!((stack + 4) % 16, 0);
    check_start_info(&ram, read32(&ram, stack + 4).into());
    check_start_info(&ram, state.gpr[Register::Rbx]);
}

#[test]
fn a_high_half_entry_point_is_translated() {
    let high = 0xffff_ffff_8010_0000;
    let mut elf = Elf::new_64(vec![Segment { virtual_address: high, ..code() }]);
    elf.entry = high + 3;
    assert_eq!(load(elf.build(), &config()).unwrap().0.entry, BASE + 3);
}

#[test]
fn position_independent_elf_is_moved_and_relocated() {
    // Code at 0 with a pointer at 64; the relocation at 128; the dynamic section at 256.
    let mut contents = vec![0; 512];
    for (offset, value) in [(128, 64u64), (136, 8), (144, 0x1234)] {
        contents[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
    let dynamic = [7u64, 128, 8, 24, 9, 24, 0, 0];
    let dynamic: Vec<u8> = dynamic.iter().flat_map(|word| word.to_le_bytes()).collect();
    let segments =
        vec![Segment::new(PT_LOAD, 0, &contents), Segment::new(PT_DYNAMIC, 256, &dynamic)];
    let mut elf = Elf::new_64(segments);
    (elf.kind, elf.entry) = (ET_DYN, 16);
    let (loaded, ram) = load(elf.build(), &config()).unwrap();
    assert_eq!((loaded.entry, loaded.bias), (BASE + 16, BASE));
    assert_eq!(read64(&ram, BASE + 64), BASE + 0x1234);
}

#[test]
fn linux_zero_page() {
    let (mut config, _directory) = with_modules(config());
    config.modules.truncate(1);
    let (loaded, ram) = load(linux(), &config).unwrap();
    let state = &loaded.state;
    assert_eq!((loaded.protocol, state.rip, state.bitness()), ("Linux", 0x100_0200, 64));
    assert_eq!(state.segments[SegmentRegister::Cs].selector, 0x10);
    assert_eq!(state.segments[SegmentRegister::Ds].selector, 0x18);
    assert_eq!(read(&ram, 0x100_0000), *b"linux");
    let zero_page = state.gpr[Register::Rsi];
    let field = |offset| read32(&ram, zero_page + offset);
    assert_eq!(read(&ram, zero_page + 0x202), *b"HdrS");
    assert_eq!(read::<1>(&ram, zero_page + 0x210), [0xff]);
    assert_eq!(read_string(&ram, field(0x228).into()), "one two=2");
    let (ramdisk, length) = (field(0x218), field(0x21c));
    assert_eq!((ramdisk % 4096, length), (0, 16));
    assert_eq!(read(&ram, ramdisk.into()), *b"the first module");
    assert_eq!(read::<1>(&ram, zero_page + 0x1e8), [4]);
    assert_eq!(read64(&ram, zero_page + 0x2d0 + 20), 0x9_0000);
}

#[test]
fn linux_without_a_64_bit_entry_point() {
    // One says so; to the other's protocol the word means nothing yet.
    for (version, x_load_flags) in [(0x20fu16, 0u16), (0x20a, 1)] {
        let mut kernel = linux();
        kernel[0x206..0x208].copy_from_slice(&version.to_le_bytes());
        kernel[0x236..0x238].copy_from_slice(&x_load_flags.to_le_bytes());
        let (loaded, ram) = load(kernel, &config()).unwrap();
        let state = &loaded.state;
        assert_eq!((loaded.protocol, state.rip, state.bitness()), ("Linux", 0x100_0000, 32));
        assert!(state.protected() && !state.paging());
        assert_eq!(state.segments[SegmentRegister::Cs].selector, 0x10);
        assert_eq!(state.segments[SegmentRegister::Ss].selector, 0x18);
        assert_eq!(read(&ram, state.gdtr.base + 0x10), 0x00cf_9b00_0000_ffff_u64.to_le_bytes());
        assert_eq!(read(&ram, state.gpr[Register::Rsi] + 0x202), *b"HdrS");
    }
}

#[test]
fn flat_images_in_each_mode() {
    for (mode, bitness) in
        [(EntryMode::Real, 16), (EntryMode::Protected, 32), (EntryMode::Long, 64)]
    {
        let flat = Flat { load_address: 0x7c00, entry: 0x7c02, mode };
        let config = VmConfig { flat: Some(flat), ..VmConfig::default() };
        // Even a file in a known format is taken as it is.
        let (loaded, ram) = load(Elf::new_64(vec![code()]).build(), &config).unwrap();
        let state = &loaded.state;
        assert_eq!((loaded.protocol, state.rip, state.bitness()), ("flat", 0x7c02, bitness));
        assert_eq!(read(&ram, 0x7c00), *b"\x7fELF");
    }
}

#[test]
fn a_real_mode_entry_above_64_kib_has_a_segment() {
    let flat = Flat { load_address: 0x2_0000, entry: 0x2_0013, mode: EntryMode::Real };
    let config = VmConfig { flat: Some(flat), ..VmConfig::default() };
    let (loaded, _) = load(vec![0xf4; 64], &config).unwrap();
    let cs = &loaded.state.segments[SegmentRegister::Cs];
    assert_eq!((cs.selector, cs.base, loaded.state.rip), (0x2001, 0x2_0010, 3));
}

#[test]
fn the_order_is_that_of_qemu() {
    let with_headers = |headers: &[Vec<u8>], note: bool| {
        let mut segment = code();
        for header in headers {
            segment.contents.resize(segment.contents.len().next_multiple_of(8), 0);
            segment.contents.extend(header);
        }
        // Multiboot 2 headers are 8-byte aligned in the file: one or two program headers before it.
        let notes = if note { vec![pvh_note(BASE as u32)] } else { vec![] };
        Elf::new_64([vec![segment], notes].concat()).build()
    };
    let (first, second) = (multiboot1_header(0, &[]), multiboot2_header(&[]));
    let protocol = |file| load(file, &config()).unwrap().0.protocol;
    assert_eq!(protocol(with_headers(&[second.clone(), first], true)), "Multiboot");
    assert_eq!(protocol(with_headers(std::slice::from_ref(&second), true)), "PVH");
    assert_eq!(protocol(with_headers(&[second], false)), "Multiboot 2");
    assert_eq!(protocol(with_headers(&[], false)), "ELF");
}

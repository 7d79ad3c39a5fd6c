//! No bytes make the loaders panic, and what they accept they have placed where they say.

use monovisor::boot::{self, Image};
use monovisor::config::{EntryMode, Flat, VmConfig};
use monovisor::memory::GuestRam;
use proptest::prelude::*;

use crate::builder::*;

/// One valid image of each kind.
fn images() -> Vec<Vec<u8>> {
    let with_header = |header: Vec<u8>| {
        let mut segment = code();
        segment.contents.resize(24, 0);
        segment.contents.extend(header);
        vec![segment]
    };
    let base = BASE as u32;
    let mut kludge = multiboot1_header(1 << 16, &[base, base, 0, base + 4096, base]);
    kludge.resize(64, 0);
    let mut relocatable = Elf::new_64(vec![
        Segment::new(PT_LOAD, 0, &words(&[64, 0, 8, 0, 0, 0, 0, 0])),
        Segment::new(PT_DYNAMIC, 0, &words(&[7, 0, 0, 0, 8, 0, 24, 0, 0, 0, 0, 0])),
    ]);
    (relocatable.kind, relocatable.entry) = (ET_DYN, 0);
    relocatable.segments[0].memory_bytes = 4096;
    vec![
        Elf::new_64(vec![code()]).build(),
        Elf::new_32(vec![code()]).build(),
        Elf::new_64(vec![code(), pvh_note(base)]).build(),
        Elf::new_32(with_header(multiboot1_header(3, &[]))).build(),
        Elf::new_64(with_header(multiboot2_header(&[(10, 0, &[0, u32::MAX, 4096, 0])]))).build(),
        kludge,
        relocatable.build(),
        linux(),
    ]
}

/// RAM that every attempt may write to: it need not be fresh where only panics are looked for.
fn ram() -> GuestRam {
    GuestRam::new(config().memory_bytes).expect("the host has that much address space")
}

fn attempt(file: Vec<u8>, ram: &GuestRam, config: &VmConfig) {
    match boot::load(&Image::from_bytes("image", file), ram, config) {
        Ok(loaded) => assert!(ram.contains(loaded.entry, 1), "{:#x}", loaded.entry),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
            assert!(matches!(error.exit_code(), 126 | 127));
        }
    }
}

#[test]
fn every_image_is_valid() {
    for image in images() {
        load(image, &config()).unwrap();
    }
}

#[test]
fn every_byte_can_be_anything() {
    let (ram, config) = (ram(), config());
    for image in images() {
        for at in 0..image.len().min(640) {
            for value in [0, 0x7f, 0x80, 0xff, image[at] ^ 1] {
                let mut file = image.clone();
                file[at] = value;
                attempt(file, &ram, &config);
            }
        }
    }
}

#[test]
fn every_length_can_be_the_last() {
    let (ram, config) = (ram(), config());
    for image in images() {
        for length in 0..image.len().min(640) {
            attempt(image[..length].to_vec(), &ram, &config);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        attempt(bytes, &ram(), &config());
    }

    #[test]
    fn random_words_in_headers(
        image in 0..images().len(),
        changes in proptest::collection::vec((0usize..256, prop_oneof![
            Just(0u64), Just(u64::MAX), Just(1 << 63), Just(BASE), any::<u64>(), 0..0x1_0000u64,
        ], 1usize..9), 1..6),
    ) {
        let mut file = images().swap_remove(image);
        for (at, value, length) in changes {
            // Linux keeps its header further behind than the others.
            let at = if file.starts_with(&[0; 16]) { at + 0x1f0 } else { at };
            let end = (at + length.min(8)).min(file.len());
            if at < end {
                file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
        }
        attempt(file, &ram(), &config());
    }

    #[test]
    fn random_places_of_flat_images(
        load_address in prop_oneof![any::<u64>(), 0..0x400_0000u64],
        offset in prop_oneof![any::<u64>(), 0..128u64],
        mode in prop_oneof![
            Just(EntryMode::Real), Just(EntryMode::Protected), Just(EntryMode::Long),
        ],
    ) {
        let flat = Flat { load_address, entry: load_address.wrapping_add(offset), mode };
        let config = VmConfig { flat: Some(flat), command_line: String::new(), ..config() };
        attempt(vec![0xf4; 64], &ram(), &config);
    }
}

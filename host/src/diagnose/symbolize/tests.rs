//! The images here are this test's own executable, with symbols and DWARF as rustc writes them, and
//! the sample kernel, with every kind of damage done to it.

use std::env;
use std::fs;

use object::{Object, ObjectSymbol};
use proptest::prelude::*;

use super::*;
use crate::diagnose::sample::{build, kernel};

const PATIENCE: Duration = Duration::from_secs(20);

fn with_image<T>(bytes: &[u8], test: impl FnOnce(&Symbolizer) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, bytes).unwrap();
    test(&Symbolizer::new(&image, 0, PATIENCE))
}

fn address_of(bytes: &[u8], wanted: &str) -> u64 {
    let file = object::File::parse(bytes).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name().is_ok_and(|name| name == wanted));
    symbol.unwrap().address()
}

const LANDMARK_LINE: u32 = line!();
#[inline(never)]
extern "C" fn landmark(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

#[test]
fn rust_names_are_demangled_and_have_lines() {
    let path = env::current_exe().unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = file.symbols().find(|symbol| {
        let is_landmark = |raw| name(raw).ends_with("symbolize::tests::landmark");
        symbol.name().is_ok_and(is_landmark)
    });
    assert_eq!(landmark(1), 2);
    let symbols = Symbolizer::new(&path, 0, PATIENCE).look_up(&[symbol.unwrap().address() + 1, 1]);
    let (name, offset) = symbols[0].name.as_ref().unwrap();
    assert_eq!((name.as_str(), *offset), ("monovisor::diagnose::symbolize::tests::landmark", 1));
    let (file, line) = symbols[0].frames[0].location.as_ref().unwrap();
    assert!(file.ends_with("symbolize/tests.rs") && *line == LANDMARK_LINE + 2, "{file}:{line}");
    assert_eq!(symbols[1], Symbol::default());
}

#[test]
fn inlined_calls_are_unfolded() {
    let inner = address_of(kernel(), "inner");
    with_image(kernel(), |symbolizer| {
        let symbol = &symbolizer.look_up(&[inner])[0];
        assert_eq!(symbol.name, Some(("inner".to_owned(), 0)));
        let places: Vec<_> = symbol
            .frames
            .iter()
            .map(|frame| (frame.function.as_deref().unwrap(), frame.location.as_ref().unwrap().1))
            .collect();
        assert_eq!(places, [("touch", 3), ("inner", 6)]);
        assert!(symbol.to_string().starts_with("inner ("), "{symbol}");
    });
}

#[test]
fn a_bias_shifts_what_runs_where_it_was_loaded_and_not_what_runs_where_it_is_linked() {
    const BIAS: u64 = 0x30_0000;
    let inner = address_of(kernel(), "inner");
    let physical = inner - 0xffff_ffff_8000_0000;
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, kernel()).unwrap();
    let symbols = Symbolizer::new(&image, BIAS, PATIENCE).look_up(&[physical + BIAS, inner]);
    for symbol in symbols {
        assert_eq!(symbol.name, Some(("inner".to_owned(), 0)));
    }
}

#[test]
fn physical_addresses_are_those_of_their_segments() {
    let inner = address_of(kernel(), "inner");
    let physical = inner - 0xffff_ffff_8000_0000;
    with_image(kernel(), |symbolizer| {
        let symbols = symbolizer.look_up(&[inner, physical, 0x10]);
        assert_eq!(symbols[0], symbols[1]);
        assert_eq!(symbols[2], Symbol::default());
    });
}

#[test]
fn a_label_without_size_reaches_to_its_sections_end() {
    let label = address_of(kernel(), "label");
    with_image(kernel(), |symbolizer| {
        let symbols = symbolizer.look_up(&[label + 1, label + 0x1000]);
        assert_eq!(symbols[0].name, Some(("label".to_owned(), 1)));
        assert_eq!(symbols[1].name, None);
    });
}

#[test]
fn what_is_no_image_knows_nothing() {
    let unknown = [Symbol::default(), Symbol::default()];
    for bytes in [&b""[..], b"\x7fELF", b"flat binary", &kernel()[..64], &kernel()[..1000]] {
        assert_eq!(with_image(bytes, |symbolizer| symbolizer.look_up(&[0, u64::MAX])), unknown);
    }
    let gone = Symbolizer::new(Path::new("/nonexistent/image"), 0, PATIENCE);
    assert_eq!(gone.look_up(&[0, 1]), unknown);
    assert_eq!(gone.look_up(&[]), []);
}

#[test]
fn a_deadline_that_has_passed_gives_unknown_not_a_wait() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, kernel()).unwrap();
    let symbols = Symbolizer::new(&image, 0, Duration::ZERO).look_up(&[1, 2]);
    assert_eq!(symbols.len(), 2);
}

/// DWARF of a function with 100,000 inlined ones, each within the one before it.
const NESTED: &str = r#"
    .globl _start
    .text
_start:
    nop
end:
    .section .debug_abbrev,"",@progbits
    .uleb128 1; .uleb128 0x11; .byte 1 # compile unit: low_pc, high_pc
    .uleb128 0x11; .uleb128 1; .uleb128 0x12; .uleb128 1; .byte 0, 0
    .uleb128 2; .uleb128 0x2e; .byte 1 # subprogram: low_pc, high_pc
    .uleb128 0x11; .uleb128 1; .uleb128 0x12; .uleb128 1; .byte 0, 0
    .uleb128 3; .uleb128 0x1d; .byte 1, 0, 0 # inlined subroutine
    .byte 0
    .section .debug_info,"",@progbits
    .long 2f - 1f
1:  .short 4
    .long 0
    .byte 8
    .uleb128 1; .quad _start; .quad end
    .uleb128 2; .quad _start; .quad end
    .fill 100000, 1, 3
2:
"#;

#[test]
fn deep_nesting_ends_before_the_stack_does() {
    let image = build("nested.s", NESTED, &["-Wl,-Ttext=0x100000"]);
    with_image(&image, |symbolizer| {
        let symbols = symbolizer.look_up(&[0x10_0000]);
        assert_eq!(symbols[0].name, Some(("_start".to_owned(), 0)));
    });
}

#[test]
fn the_standard_librarys_paths_are_shortened() {
    assert_eq!(path("/rustc/0123abcd/library/core/src/ptr/mod.rs"), "library/core/src/ptr/mod.rs");
    assert_eq!(path("src/main.rs"), "src/main.rs");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Neither a panic nor a wait, whatever is wrong with the file.
    #[test]
    fn damaged_images_are_survived(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        end in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        address in prop_oneof![0xffff_ffff_8010_0000..0xffff_ffff_8010_0040u64, any::<u64>()],
    ) {
        let mut bytes = kernel().to_vec();
        for (index, value) in damage {
            let length = bytes.len();
            bytes[index.index(length)] = value;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        let begun = Instant::now();
        if let Some(image) = elf::Image::parse(&bytes) {
            image.names(&[address]);
            let meter = Meter::new(256 << 10);
            if let Some(lines) = image.lines(&meter) {
                lines.frames(image.code_address(address).unwrap_or(address));
            }
        }
        prop_assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

//! `monovisor cpu`: the processor as a guest sees it.

use std::fmt::Write as _;

use clap::Args;
use monovisor_core::CpuState;
use monovisor_core::cpuid::{Feature, Leaf, Model, cpuid, feature};
use monovisor_core::state::{Access, EferFlags, SegmentRegister};

use super::Failure;
use crate::config::CpuModel;
use crate::engine;

/// Print the processor as a guest sees it: what CPUID returns, and which features that means
#[derive(Args, Debug)]
pub struct Arguments {
    /// Which processor: host (all that the interpreter has) or baseline (what every engine has
    /// everywhere) [default: host]
    #[arg(long, value_name = "MODEL", env = "MONOVISOR_CPU")]
    cpu: Option<CpuModel>,
}

pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let model = engine::offered(arguments.cpu.unwrap_or_default());
    super::print(&describe(&model))
}

/// The levels of the x86-64 psABI above the first, and what each adds.
const LEVELS: &[(&str, &[Feature])] = {
    use feature::*;
    &[
        ("x86-64-v2", &[CX16, LAHF_SAHF, POPCNT, SSE3, SSE4_1, SSE4_2, SSSE3]),
        ("x86-64-v3", &[AVX, AVX2, BMI1, BMI2, F16C, FMA, LZCNT, MOVBE, XSAVE]),
    ]
};

/// Characters of a line of features.
const WIDTH: usize = 80;

fn describe(model: &Model) -> String {
    let mut text = heading(model);
    text.push_str("\nfeatures, by leaf and register\n");
    let mut features: Vec<&Feature> = model.features().collect();
    let place = |feature: &&Feature| (feature.leaf, feature.subleaf, feature.output as usize);
    features.sort_by_key(|feature| (place(feature), feature.bit));
    for group in features.chunk_by(|one, next| place(one) == place(next)) {
        add_group(&mut text, group);
    }
    text.push_str("\nCPUID in 64-bit mode, before anything is switched on in CR4 or XCR0\n");
    text.push_str("  leaf        ECX  EAX       EBX       ECX       EDX\n");
    let state = before_anything();
    let mut rows = model.table(0);
    rows.sort_by_key(|row| (row.leaf, row.subleaf));
    for Leaf { leaf, subleaf, .. } in rows {
        let [eax, ebx, ecx, edx] = cpuid(model, &state, 0, leaf, subleaf.unwrap_or(0));
        let subleaf = subleaf.map_or("any".to_owned(), |subleaf| format!("{subleaf:#x}"));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {leaf:#010x} {subleaf:>4}  {eax:08x}  {ebx:08x}  {ecx:08x}  {edx:08x}"
        );
    }
    text
}

/// 64-bit mode, as soon as a guest can be in it.
fn before_anything() -> CpuState {
    let mut state = CpuState::reset(0);
    state.control.efer |= EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    // A code segment with L.
    state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    state
}

/// What the processor is called, and what it amounts to.
fn heading(model: &Model) -> String {
    let state = before_anything();
    let ask = |leaf| cpuid(model, &state, 0, leaf, 0);
    let told = |registers: &[u32]| {
        let bytes: Vec<u8> = registers.iter().flat_map(|word| word.to_le_bytes()).collect();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    };
    let [_, ebx, ecx, edx] = ask(0);
    let name = told(&[ask(0x8000_0002), ask(0x8000_0003), ask(0x8000_0004)].concat());
    let [signature, ..] = ask(1);
    let (family, stepping) = (signature >> 8 & 0xf, signature & 0xf);
    let number = signature >> 12 & 0xf0 | signature >> 4 & 0xf;
    let offered = |features: &[Feature]| features.iter().all(|feature| model.offers(feature));
    let levels = LEVELS.iter().take_while(|(_, features)| offered(features));
    let level = levels.last().map_or("x86-64-v1", |(level, _)| level);
    let addresses = ask(0x8000_0008)[0];
    format!(
        "{name}: {vendor}, family {family}, model {number}, stepping {stepping}\n\
         {level}; {physical} bits of physical and {linear} of linear addresses; \
         TSC at {mhz} MHz\n",
        vendor = told(&[ebx, edx, ecx]),
        physical = addresses & 0xff,
        linear = addresses >> 8 & 0xff,
        mhz = model.tsc_khz() / 1000,
    )
}

/// The features of one register, in lines of [`WIDTH`].
fn add_group(text: &mut String, group: &[&Feature]) {
    let Some(Feature { leaf, subleaf, output, .. }) = group.first() else { return };
    let subleaf = if *subleaf == 0 { String::new() } else { format!("/{subleaf}") };
    let register = format!("{output:?}").to_uppercase();
    let place = format!("{leaf:#x}{subleaf} {register}");
    let mut line = format!("  {place:<16}");
    for feature in group {
        if line.len() + 1 + feature.name.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(18);
        }
        let _ = write!(line, " {}", feature.name);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_leaves_are_there() {
        let text = describe(&Model::default());
        assert!(text.lines().any(|line| line.split(' ').any(|word| word == "LONG_MODE")));
        let longest = text.lines().map(str::len).max();
        assert!(longest <= Some(WIDTH), "{text}");
        // "Genu", "ntel" and "ineI" of the vendor's name.
        assert!(text.contains("756e6547  6c65746e  49656e69"), "{text}");
    }
    /// Also what depends on the state: APIC in leaf 1, SYSCALL in leaf 0x80000001.
    #[test]
    fn it_is_what_a_guest_finds() {
        let text = describe(&Model::default());
        let edx = |leaf: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(leaf)).unwrap();
            u32::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
        };
        assert_eq!((edx("0x00000001  any") >> 9 & 1, edx("0x80000001  any") >> 11 & 1), (1, 1));
    }

    #[test]
    fn a_heading_tells_the_level() {
        for (without, level) in [
            (None, "x86-64-v3"),
            (Some(feature::MOVBE), "x86-64-v2"),
            (Some(feature::SSE3), "x86-64-v1"),
        ] {
            let text = describe(&Model::default().masked(|feature| Some(*feature) != without));
            assert!(text.lines().nth(1).unwrap().starts_with(level), "{text}");
        }
        assert!(
            heading(&Model::default()).contains("GenuineIntel, family 6, model 28, stepping 10")
        );
    }
}

//! Tables of what a write to a control register may do, by the SDM's headings.

use super::*;
use crate::cpuid::Model;
use crate::state::Access;

/// What software may set where every feature is offered.
fn all() -> Cr4Flags {
    Model::default().cr4_writable()
}

const PE: u64 = 1;
const MP: u64 = 1 << 1;
const EM: u64 = 1 << 2;
const TS: u64 = 1 << 3;
const ET: u64 = 1 << 4;
const NE: u64 = 1 << 5;
const WP: u64 = 1 << 16;
const NW: u64 = 1 << 29;
const CD: u64 = 1 << 30;
const PG: u64 = 1 << 31;
const PAE: u64 = 1 << 5;
const PGE: u64 = 1 << 7;

const CODE_32: Access = Access(0xc09b);
const CODE_64: Access = Access(0xa09b);

/// A processor in protected mode with this CR0 and CR4.
fn protected(cr0: u64, cr4: u64) -> CpuState {
    let mut state = CpuState::reset(0);
    state.control.cr0 = Cr0Flags::from_bits_retain(cr0 | PE | ET);
    state.control.cr4 = Cr4Flags::from_bits_retain(cr4);
    state.segments[SegmentRegister::Cs].access = CODE_32;
    state
}

/// A processor in IA-32e mode.
fn long(code: Access) -> CpuState {
    let mut state = protected(PG, PAE);
    state.control.efer = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    state.segments[SegmentRegister::Cs].access = code;
    state
}

/// "MOV—Move to/from Control Registers": #GP for CR0. (value, legal)
#[test]
fn cr0_combinations() {
    let rows = [
        (0, true),
        (PE, true),
        (PE | PG, true),
        (PG, false),
        (PE | CD, true),
        (PE | CD | NW, true),
        (PE | NW, false),
        (PE | 1 << 32, false),
        (PE | 1 << 63, false),
        (PE | 1 << 6 | 1 << 17 | 1 << 28, true), // reserved bits of the low half are ignored
    ];
    for (value, legal) in rows {
        let mut state = protected(0, 0);
        let before = state.clone();
        let result = write_cr0(&mut state, value);
        assert_eq!(result.is_ok(), legal, "{value:#x}");
        if legal {
            let defined = value & (PE | PG | CD | NW) | ET;
            assert_eq!(state.control.cr0.bits(), defined, "{value:#x}");
        } else {
            assert_eq!((result, state), (Err(Exception::GP0), before));
        }
    }
}

/// (CR0 before, CR0 after, flush, mode changed)
#[test]
fn cr0_effects() {
    let rows = [
        (PE, PE, Flush::None, false),
        (PE, PE | TS | MP | EM | NE, Flush::None, false),
        (PE, PE | CD, Flush::None, false),
        (PE, PE | WP, Flush::All, false),
        (PE | PG, PE | PG | WP, Flush::All, false),
        (PE, PE | PG, Flush::All, true),
        (PE | PG, PE, Flush::All, true),
        (PE, 0, Flush::All, true),
    ];
    for (before, after, flush, mode_changed) in rows {
        let mut state = protected(before, PAE);
        let effect = write_cr0(&mut state, after);
        assert_eq!(effect, Ok(ControlEffect { flush, mode_changed }), "{before:#x} -> {after:#x}");
    }
}

/// "Initializing IA-32e Mode" and its consistency checks: (LME, CR4, CS, TR, result's LMA).
#[test]
fn paging_activates_long_mode() {
    const TSS_32: u32 = 0x8b;
    const TSS_16: u32 = 0x83;
    let rows = [
        (true, PAE, CODE_32, TSS_32, Some(true)),
        (true, 0, CODE_32, TSS_32, None),
        (true, PAE, CODE_64, TSS_32, None),
        (true, PAE, CODE_32, TSS_16, None),
        (true, PAE, CODE_32, 0x81, None),
        (false, 0, CODE_32, TSS_32, Some(false)),
        (false, PAE, CODE_64, TSS_16, Some(false)),
    ];
    for (lme, cr4, code, task, active) in rows {
        let mut state = protected(0, cr4);
        state.control.efer.set(EferFlags::LONG_MODE_ENABLE, lme);
        state.segments[SegmentRegister::Cs].access = code;
        state.segments[SegmentRegister::Tr].access = Access(task);
        let before = state.clone();
        let row = (lme, cr4, code, task);
        match write_cr0(&mut state, PE | PG) {
            Ok(effect) => {
                assert!(effect.mode_changed);
                assert_eq!(Some(state.long_mode()), active, "{row:x?}");
            }
            Err(exception) => {
                assert_eq!((exception, active), (Exception::GP0, None), "{row:x?}");
                assert_eq!(state, before);
            }
        }
    }
}

#[test]
fn long_mode_is_left_from_compatibility_mode_alone() {
    let mut state = long(CODE_64);
    let before = state.clone();
    assert_eq!(write_cr0(&mut state, PE), Err(Exception::GP0));
    assert_eq!(state, before);
    let mut state = long(CODE_32);
    assert!(write_cr0(&mut state, PE).is_ok_and(|effect| effect.mode_changed));
    assert_eq!(state.control.efer, EferFlags::LONG_MODE_ENABLE);
    assert!(!state.long_mode());
}

/// "Control Registers": CR3 has no bits above MAXPHYADDR. (value, legal)
#[test]
fn cr3() {
    let rows = [
        (0, true),
        (0x3fff_ffff_f018, true),
        (1 << 46, false),
        (1 << 51, false),
        (1 << 52, false),
        (1 << 63, false),
    ];
    for (value, legal) in rows {
        let mut state = long(CODE_64);
        let effect = ControlEffect { flush: Flush::NonGlobal, mode_changed: false };
        let expected = if legal { Ok(effect) } else { Err(Exception::GP0) };
        assert_eq!(write_cr3(&mut state, value), expected, "{value:#x}");
        assert_eq!(state.control.cr3, if legal { value } else { 0 });
    }
}

/// Every bit of CR4 that CPUID does not offer is #GP; (bit, what a change of it flushes).
#[test]
fn cr4_bits() {
    let offered = [
        (0, Flush::None),  // VME
        (1, Flush::None),  // PVI
        (2, Flush::None),  // TSD
        (3, Flush::None),  // DE
        (4, Flush::All),   // PSE
        (5, Flush::All),   // PAE
        (6, Flush::None),  // MCE
        (7, Flush::All),   // PGE
        (8, Flush::None),  // PCE
        (9, Flush::None),  // OSFXSR
        (10, Flush::None), // OSXMMEXCPT
        (11, Flush::None), // UMIP
        (12, Flush::None), // LA57
        (16, Flush::None), // FSGSBASE
        (18, Flush::None), // OSXSAVE
        (20, Flush::All),  // SMEP
        (21, Flush::All),  // SMAP
        (22, Flush::All),  // PKE
        (24, Flush::All),  // PKS
    ];
    for bit in 0..64 {
        let mut state = protected(0, 0);
        let result = write_cr4(&mut state, 1 << bit, all());
        match offered.iter().find(|(offered, _)| *offered == bit) {
            Some(&(_, flush)) => {
                assert_eq!(result, Ok(ControlEffect { flush, mode_changed: false }), "bit {bit}");
                assert_eq!(state.control.cr4.bits(), 1 << bit);
                assert_eq!(write_cr4(&mut state, 0, all()), result, "back");
            }
            None => {
                assert_eq!(result, Err(Exception::GP0), "bit {bit}");
                assert_eq!(state, protected(0, 0));
            }
        }
    }
}

#[test]
fn long_mode_needs_pae() {
    let mut state = long(CODE_64);
    assert_eq!(write_cr4(&mut state, PGE, all()), Err(Exception::GP0));
    assert!(write_cr4(&mut state, PAE | PGE, all()).is_ok());
    assert!(write_cr4(&mut protected(PG, PAE), PGE, all()).is_ok(), "outside, paging can lose it");
}

/// "Process-Context Identifiers (PCIDs)": (IA-32e mode, CR3, legal).
#[test]
fn process_context_identifiers() {
    let pcide = Cr4Flags::PCID.bits();
    for (long_mode, cr3, legal) in
        [(true, 0x5000, true), (true, 0x5018, false), (true, 0x5001, false), (false, 0, false)]
    {
        let mut state = if long_mode { long(CODE_64) } else { protected(PG, PAE) };
        state.control.cr3 = cr3;
        let result = write_cr4(&mut state, PAE | pcide, all());
        assert_eq!(result.is_ok(), legal, "{long_mode} {cr3:#x}");
        assert!(result.is_err() || result.is_ok_and(|effect| effect.flush == Flush::None));
    }
    let mut state = long(CODE_32);
    assert!(write_cr4(&mut state, PAE | pcide, all()).is_ok());
    // Bit 63 is there with them, and not kept.
    assert!(write_cr3(&mut state, 1 << 63 | 0x7123).is_ok());
    assert_eq!(state.control.cr3, 0x7123);
    assert_eq!(write_cr3(&mut state, 1 << 62), Err(Exception::GP0));
    // Paging does not go off under them.
    assert_eq!(write_cr0(&mut state, PE), Err(Exception::GP0));
    let effect = ControlEffect { flush: Flush::All, mode_changed: false };
    assert_eq!(write_cr4(&mut state, PAE, all()), Ok(effect), "identifiers may be left behind");
    assert!(write_cr0(&mut state, PE).is_ok());
}

/// "MOV—Move to/from Control Registers": CR4.LA57 stays as it is in IA-32e mode.
#[test]
fn levels_of_paging_do_not_change_in_long_mode() {
    let la57 = Cr4Flags::L5_PAGING.bits();
    let mut state = long(CODE_64);
    assert_eq!(write_cr4(&mut state, PAE | la57, all()), Err(Exception::GP0));
    state.control.cr4 |= Cr4Flags::L5_PAGING;
    assert_eq!(write_cr4(&mut state, PAE, all()), Err(Exception::GP0));
    assert!(write_cr4(&mut state, PAE | PGE | la57, all()).is_ok());
}

#[test]
fn cr8() {
    let mut apic = LocalApic::new(0);
    for (value, legal) in [(0, true), (15, true), (16, false), (0x100, false), (u64::MAX, false)] {
        assert_eq!(write_cr8(&mut apic, value).is_ok(), legal, "{value:#x}");
    }
    assert_eq!(apic.task_priority_class(), 15);
}

/// "XSETBV": (index, value, legal).
#[test]
fn xcr0() {
    let rows = [
        (0, 0b01, true),
        (0, 0b11, true),
        (0, 0b00, false),
        (0, 0b10, false),
        (0, 0b111, true),
        (0, 0b101, false),
        (0, 0b1111, false),
        (0, 1 << 63 | 1, false),
        (0, 1 << 9, false),
        (0, 1 << 9 | 1, true),
        (0, 1 << 9 | 0b111, true),
        (0, 1 << 9 | 0b101, false),
        (1, 0b11, false),
        (u32::MAX, 0b11, false),
    ];
    let offered = Model::default().xcr0_writable();
    for (index, value, legal) in rows {
        let mut state = protected(0, 0);
        state.control.xcr0 = XCr0Flags::X87;
        let expected = if legal { Ok(()) } else { Err(Exception::GP0) };
        assert_eq!(write_xcr(&mut state, index, value, offered), expected, "{index} {value:#x}");
        assert_eq!(state.control.xcr0.bits(), if legal { value } else { 1 });
    }
}

#[test]
fn clts() {
    let mut state = protected(TS | MP, 0);
    clear_task_switched(&mut state);
    assert_eq!(state.control.cr0.bits(), PE | ET | MP);
}

/// "LMSW": (CR0 before, word, CR0 after).
#[test]
fn lmsw() {
    let rows = [
        (ET, 0xffff, ET | PE | MP | EM | TS),
        (ET | PE, 0, ET | PE),
        (ET | PE | TS | MP, 0, ET | PE),
        (ET | PE | PG | WP, 0x8, ET | PE | PG | WP | TS),
        (ET, 0xfff0, ET),
    ];
    for (before, word, after) in rows {
        let mut state = protected(0, 0);
        state.control.cr0 = Cr0Flags::from_bits_retain(before);
        assert!(load_machine_status_word(&mut state, word).is_ok());
        assert_eq!(state.control.cr0.bits(), after, "{before:#x} {word:#x}");
    }
}

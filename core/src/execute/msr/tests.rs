//! Tables of what model-specific registers take and give.

use super::*;
use crate::apic::Mode;
use crate::state::Cr0Flags;

const GP: Result<MsrEffect, Exception> = Err(Exception::GP0);

fn machine() -> (CpuState, LocalApic) {
    (CpuState::reset(0), LocalApic::new(0))
}

#[test]
fn rows_ascend_and_do_not_overlap() {
    for pair in MSRS.windows(2) {
        assert!(pair[0].first <= pair[0].last);
        assert!(pair[0].last < pair[1].first, "{:#x}", pair[1].first);
    }
}

/// "Processor State After Reset" and what is constant: (number, value).
#[test]
fn values_after_reset() {
    let rows = [
        (0, 0),
        (1, 0),
        (0x17, 0),
        (0x1b, 0xfee0_0900),
        (0x3b, 0),
        (0x8b, 1 << 32),
        (0xfe, 0x508),
        (0x174, 0),
        (0x179, 0x102),
        (0x17a, 0),
        (0x17b, u64::MAX),
        (0x1a0, 0x1801),
        (0x200, 0),
        (0x20f, 0),
        (0x250, 0),
        (0x26f, 0),
        (0x277, 0x0007_0406_0007_0406),
        (0x2ff, 0),
        (0x400, u64::MAX),
        (0x401, 0),
        (0x402, 0),
        (0x403, 0),
        (0x404, u64::MAX),
        (0x407, 0),
        (0x6e0, 0),
        (0xc000_0080, 0),
        (0xc000_0103, 0),
    ];
    let (mut state, mut apic) = machine();
    for (number, value) in rows {
        assert_eq!(
            read(&Model::default(), &mut state, &mut apic, 0, number),
            Ok(value),
            "{number:#x}"
        );
    }
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 77, 0x10), Ok(77));
}

/// (number, value, legal); a legal value reads back.
#[test]
fn reserved_bits_are_checked() {
    const CANONICAL: u64 = 0xffff_8000_0000_0000;
    // Registers take addresses of 5-level paging.
    const NON_CANONICAL: u64 = 0x0100_0000_0000_0000;
    let rows = [
        (0x3b, u64::MAX, true),
        (0x175, CANONICAL, true),
        (0x175, NON_CANONICAL, false),
        (0x176, CANONICAL | 0xfff, true),
        (0x176, NON_CANONICAL, false),
        (0, 0, true),
        (1, 1, false),
        (0x17a, 7, true),
        (0x17a, 8, false),
        (0x17b, 0, true),
        (0x400, 0, true),
        (0x404, 0x5555, true),
        (0x401, 0, true),
        (0x401, 1, false),
        (0x402, 1, false),
        (0x406, 0, true),
        (0x407, 1 << 63, false),
        (0x1a0, 0x1800, true),
        (0x1a0, 1 << 34, false),
        (0x1a0, 1 << 22, false),
        (0x200, 0x3fff_ffff_f006, true),
        (0x200, 0x3fff_ffff_f002, false),
        (0x200, 0x106, false),
        (0x20e, 1 << 46, false),
        (0x201, 0x3fff_ffff_f800, true),
        (0x201, 0x400, false),
        (0x250, 0x0606_0606_0606_0606, true),
        (0x26f, 0x0001_0405_0600_0000, true),
        (0x268, 0x0606_0602_0606_0606, false),
        (0x259, 0x0706_0606_0606_0606, false),
        (0x277, 0x0706_0504_0100_0706, true),
        (0x277, 0x0706_0504_0200_0706, false),
        (0x277, 0x0806_0504_0100_0706, false),
        (0x2ff, 0xc06, true),
        (0x2ff, 0xc02, false),
        (0x2ff, 0x1000, false),
        (0x6e1, 0xffff_ffff, true),
        (0x6e1, 1 << 32, false),
        (0xc000_0081, u64::MAX, true),
        (0xc000_0082, 0x0000_8000_0000_0000, true),
        (0xc000_0082, CANONICAL, true),
        (0xc000_0082, NON_CANONICAL, false),
        (0xc000_0083, CANONICAL, true),
        (0xc000_0083, NON_CANONICAL, false),
        (0xc000_0084, 0xffff_ffff, true),
        (0xc000_0084, 1 << 32, false),
        (0xc000_0100, 0x7fff_ffff_ffff, true),
        (0xc000_0100, NON_CANONICAL, false),
        (0xc000_0101, CANONICAL, true),
        (0xc000_0101, 1 << 63, false),
        (0xc000_0102, u64::MAX, true),
        (0xc000_0102, NON_CANONICAL, false),
        (0xc000_0103, 0xffff_ffff, true),
        (0xc000_0103, 1 << 32, false),
    ];
    for (number, value, legal) in rows {
        let (mut state, mut apic) = machine();
        let before = (state.clone(), apic.clone());
        let result = write(&Model::default(), &mut state, &mut apic, 0, number, value);
        assert_eq!(result.is_ok(), legal, "{number:#x} <- {value:#x}");
        if legal {
            assert_eq!(
                read(&Model::default(), &mut state, &mut apic, 0, number),
                Ok(value),
                "{number:#x}"
            );
        } else {
            assert_eq!((result, (state, apic)), (GP, before), "{number:#x}");
        }
    }
}

#[test]
fn what_is_not_there_is_gp() {
    let holes = [
        2,
        0x11,
        0x3a,
        0x140,
        0x178,
        0x17c, // IA32_MCG_…, the extended state
        0x210,
        0x280, // IA32_MC0_CTL2
        0x251,
        0x257,
        0x25a,
        0x267,
        0x26a + 6,
        0x38f,
        0x3ff,
        0x408, // a bank more than there are
        0x4b564d00,
        0x7ff,
        0x802,
        0x900,
        0xc000_0085,
        0xc000_0104,
        0xc001_0000,
        u32::MAX,
    ];
    for number in holes {
        let (mut state, mut apic) = machine();
        assert_eq!(
            read(&Model::default(), &mut state, &mut apic, 0, number),
            Err(Exception::GP0),
            "{number:#x}"
        );
        assert_eq!(
            write(&Model::default(), &mut state, &mut apic, 0, number, 0),
            GP,
            "{number:#x}"
        );
    }
    for number in [0x17, 0xfe, 0x10a, 0x179] {
        let (mut state, mut apic) = machine();
        assert_eq!(
            write(&Model::default(), &mut state, &mut apic, 0, number, 0),
            GP,
            "{number:#x} is read-only"
        );
    }
}

#[test]
fn segment_bases_are_the_segments() {
    let (mut state, mut apic) = machine();
    assert_eq!(
        write(&Model::default(), &mut state, &mut apic, 0, 0xc000_0100, 0x1000),
        Ok(MsrEffect::None)
    );
    assert_eq!(
        write(&Model::default(), &mut state, &mut apic, 0, 0xc000_0101, 0x2000),
        Ok(MsrEffect::None)
    );
    assert_eq!(state.segments[SegmentRegister::Fs].base, 0x1000);
    assert_eq!(state.segments[SegmentRegister::Gs].base, 0x2000);
}

#[test]
fn some_writes_keep_less_than_they_take() {
    let (mut state, mut apic) = machine();
    for (number, value, kept) in [(0x8b, 5, 1 << 32), (0x174, u64::MAX, 0xffff_ffff)] {
        assert_eq!(
            write(&Model::default(), &mut state, &mut apic, 0, number, value),
            Ok(MsrEffect::None)
        );
        assert_eq!(
            read(&Model::default(), &mut state, &mut apic, 0, number),
            Ok(kept),
            "{number:#x}"
        );
    }
}

/// "IA32_EFER MSR": (EFER, paging, value, EFER after or none for #GP).
#[test]
fn efer() {
    const SCE: u64 = 1;
    const LME: u64 = 1 << 8;
    const LMA: u64 = 1 << 10;
    const NXE: u64 = 1 << 11;
    let rows = [
        (0, false, SCE | LME | NXE, Some(SCE | LME | NXE)),
        (0, false, LMA, Some(0)), // read-only
        (LME | LMA, true, LME | NXE, Some(LME | LMA | NXE)),
        (LME | LMA, true, LME | LMA | SCE, Some(LME | LMA | SCE)),
        (LME | LMA, true, SCE, None),
        (0, true, LME, None),
        (0, true, NXE, Some(NXE)),
        (0, false, 1 << 1, None),
        (0, false, 1 << 12, None), // SVME
        (0, false, 1 << 14, None), // FFXSR
        (0, false, 1 << 63, None),
    ];
    for (before, paging, value, after) in rows {
        let (mut state, mut apic) = machine();
        state.control.efer = EferFlags::from_bits_retain(before);
        state.control.cr0.set(Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE, paging);
        let result = write(&Model::default(), &mut state, &mut apic, 0, 0xc000_0080, value);
        let expected = if after.is_some() { Ok(MsrEffect::Efer) } else { GP };
        assert_eq!(result, expected, "{before:#x} <- {value:#x}, paging: {paging}");
        assert_eq!(state.control.efer.bits(), after.unwrap_or(before));
    }
}

/// "Time-Stamp Counter Adjustment".
#[test]
fn the_counter_and_its_adjustment_move_together() {
    let (mut state, mut apic) = machine();
    let armed = Ok(MsrEffect::Apic(Effect::None));
    assert_eq!(write(&Model::default(), &mut state, &mut apic, 1000, 0x10, 5000), armed);
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 1000, 0x3b), Ok(4000));
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 1500, 0x10), Ok(5500));
    assert_eq!(write(&Model::default(), &mut state, &mut apic, 2000, 0x3b, 0), armed);
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 2000, 0x10), Ok(2000));
    assert_eq!(write(&Model::default(), &mut state, &mut apic, 2000, 0x10, 0), armed);
    assert_eq!(
        read(&Model::default(), &mut state, &mut apic, 2000, 0x3b),
        Ok(2000_u64.wrapping_neg())
    );
    assert_eq!(time_stamp_counter(&state, 2010), 10);
}

#[test]
fn a_deadline_is_a_value_of_the_counter() {
    let (mut state, mut apic) = machine();
    let _ = apic.write(0xf0, 0x1ff, 0);
    let _ = apic.write(0x320, 2 << 17 | 0x40, 0);
    assert!(write(&Model::default(), &mut state, &mut apic, 1000, 0x10, 5000).is_ok());
    let armed = write(&Model::default(), &mut state, &mut apic, 1000, 0x6e0, 6000);
    assert_eq!(armed, Ok(MsrEffect::Apic(Effect::None)));
    assert_eq!(apic.next_timer_ns(), Some(2000));
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 1000, 0x6e0), Ok(6000));
    assert!(write(&Model::default(), &mut state, &mut apic, 1000, 0x3b, 4500).is_ok());
    assert_eq!(apic.next_timer_ns(), Some(1500), "the counter is nearer to it now");
    assert!(write(&Model::default(), &mut state, &mut apic, 1000, 0x10, 7000).is_ok());
    assert_eq!((apic.next_timer_ns(), apic.pending()), (None, Some(0x40)), "and now beyond");
}

/// "Local APIC Status and Location": (value, legal).
#[test]
fn apic_base() {
    let rows = [
        (0xfee0_0900, true),
        (0xfee0_0800, true),
        (0xfee0_0d00, true),
        (0xfee0_0100, true),
        (0xfee0_0500, false), // x2APIC mode of a disabled APIC
        (0x3fff_ffff_f900, true),
        (1 << 46 | 0x900, false),
        (0xfee0_0900 | 1, false),
        (0xfee0_0900 | 1 << 9, false),
    ];
    for (value, legal) in rows {
        let (mut state, mut apic) = machine();
        let expected = if legal { Ok(MsrEffect::ApicBase) } else { GP };
        assert_eq!(
            write(&Model::default(), &mut state, &mut apic, 0, 0x1b, value),
            expected,
            "{value:#x}"
        );
        assert_eq!(state.msr.apic_base, if legal { value } else { 0xfee0_0900 });
        assert_eq!(Some(apic.mode()), Mode::from_base(state.msr.apic_base));
    }
}

#[test]
fn x2apic_registers_are_msrs() {
    let (mut state, mut apic) = machine();
    assert!(write(&Model::default(), &mut state, &mut apic, 0, 0x1b, 0xfee0_0d00).is_ok());
    assert_eq!(read(&Model::default(), &mut state, &mut apic, 0, 0x803), Ok(0x0105_0014));
    let done = Ok(MsrEffect::Apic(Effect::None));
    assert_eq!(write(&Model::default(), &mut state, &mut apic, 0, 0x808, 0x40), done);
    assert_eq!(apic.task_priority_class(), 4);
    assert_eq!(write(&Model::default(), &mut state, &mut apic, 0, 0x80b, 1), GP);
}

/// Registers are there if their feature is, and addresses as wide as the processor's.
#[test]
fn a_model_has_the_registers_of_its_features() {
    let baseline = Model::default().masked(|feature| feature::BASELINE.contains(feature));
    for (number, there) in [
        (0x10a, false),       // IA32_ARCH_CAPABILITIES
        (0x6e1, false),       // IA32_PKRS
        (0xda0, false),       // IA32_XSS
        (0xc000_0103, false), // IA32_TSC_AUX
        (0x277, true),
        (0x6e0, true),
        (0xc000_0100, true),
    ] {
        let (mut state, mut apic) = machine();
        let read = read(&baseline, &mut state, &mut apic, 0, number);
        assert_eq!(read.is_ok(), there, "{number:#x}");
        let written = write(&baseline, &mut state, &mut apic, 0, number, read.unwrap_or(0));
        assert_eq!(written.is_ok(), there, "{number:#x}");
    }
    // (value, legal with 48 bits, legal with 57)
    for (value, narrow, wide) in [
        (0x7fff_ffff_ffff, true, true),
        (0x8000_0000_0000, false, true),
        (0xffff_7fff_ffff_ffff, false, true),
        (0xffff_8000_0000_0000, true, true),
        (0x00ff_ffff_ffff_ffff, false, true),
        (0x0100_0000_0000_0000, false, false),
        (0xfeff_ffff_ffff_ffff, false, false),
    ] {
        for number in
            [0x175, 0x176, 0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102]
        {
            for (model, legal) in [(&baseline, narrow), (&Model::default(), wide)] {
                let (mut state, mut apic) = machine();
                let result = write(model, &mut state, &mut apic, 0, number, value);
                assert_eq!(result.is_ok(), legal, "{number:#x} <- {value:#x}");
            }
        }
    }
}

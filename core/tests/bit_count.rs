//! POPCNT, LZCNT, TZCNT.

mod common;

#[cfg(target_arch = "x86_64")]
mod against_the_host {
    use crate::common::native::{ALL, CF, ZF, compare_all};

    #[test]
    fn results_and_flags() {
        if !(is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("bmi1"))
        {
            eprintln!("skipped: this processor lacks the instructions");
            return;
        }
        compare_all(
            &[
                ("popcnt rax, rcx", &[0xf3, 0x48, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt eax, ecx", &[0xf3, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt ax, cx", &[0x66, 0xf3, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt r8d, [r9]", &[0xf3, 0x45, 0x0f, 0xb8, 0x01], ALL),
                ("lzcnt rax, rcx", &[0xf3, 0x48, 0x0f, 0xbd, 0xc1], CF | ZF),
                ("lzcnt eax, ecx", &[0xf3, 0x0f, 0xbd, 0xc1], CF | ZF),
                ("lzcnt ax, cx", &[0x66, 0xf3, 0x0f, 0xbd, 0xc1], CF | ZF),
                ("lzcnt r8d, [r9]", &[0xf3, 0x45, 0x0f, 0xbd, 0x01], CF | ZF),
                ("lzcnt ax, [r9]", &[0x66, 0xf3, 0x41, 0x0f, 0xbd, 0x01], CF | ZF),
                ("tzcnt rax, rcx", &[0xf3, 0x48, 0x0f, 0xbc, 0xc1], CF | ZF),
                ("tzcnt eax, ecx", &[0xf3, 0x0f, 0xbc, 0xc1], CF | ZF),
                ("tzcnt ax, cx", &[0x66, 0xf3, 0x0f, 0xbc, 0xc1], CF | ZF),
                ("tzcnt rcx, rcx", &[0xf3, 0x48, 0x0f, 0xbc, 0xc9], CF | ZF),
                ("tzcnt r8, [r9]", &[0xf3, 0x4d, 0x0f, 0xbc, 0x01], CF | ZF),
                ("tzcnt ax, [r9]", &[0x66, 0xf3, 0x41, 0x0f, 0xbc, 0x01], CF | ZF),
            ],
            300,
        );
    }
}

/// Of LZCNT and TZCNT the manual defines CF and ZF alone; the others are clear.
#[test]
fn undefined_flags_are_clear() {
    use common::guest::{CODE, End, Guest};
    use monovisor_core::state::{RFlags, Register};
    let (lzcnt, tzcnt) = ([0xf3, 0x48, 0x0f, 0xbd, 0xc1], [0xf3, 0x48, 0x0f, 0xbc, 0xc1]);
    let mut guest = Guest::long_mode();
    for (code, value, count, flags) in [
        (lzcnt, 0, 64, 0x01),
        (lzcnt, 1 << 63, 0, 0x40),
        (lzcnt, 1, 63, 0),
        (tzcnt, 0, 64, 0x01),
        (tzcnt, 1, 0, 0x40),
        (tzcnt, 1 << 63, 63, 0),
    ] {
        guest.state.rip = CODE;
        guest.state.rflags = RFlags::from_bits_retain(0x8d7);
        guest.set(Register::Rcx, value);
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.get(Register::Rax), count);
        assert_eq!(guest.state.rflags.bits() & 0x8d5, flags, "{code:x?} {value:#x}");
    }
}

//! BT, BTS, BTR, BTC, BSF, BSR, BSWAP.

mod common;

#[cfg(target_arch = "x86_64")]
mod against_the_host {
    use crate::common::native::{ALL, CF, ZF, compare_all};

    #[test]
    fn results_and_flags() {
        // BT and its kin define CF and keep ZF; BSF and BSR define ZF alone; BSF and BSR of zero
        // leave the destination.
        compare_all(
            &[
                ("bt rax, rcx", &[0x48, 0x0f, 0xa3, 0xc8], CF | ZF),
                ("bts eax, ecx", &[0x0f, 0xab, 0xc8], CF | ZF),
                ("btr ax, cx", &[0x66, 0x0f, 0xb3, 0xc8], CF | ZF),
                ("btc rax, rcx", &[0x48, 0x0f, 0xbb, 0xc8], CF | ZF),
                ("bts rax, rax", &[0x48, 0x0f, 0xab, 0xc0], CF | ZF),
                ("bt eax, 33", &[0x0f, 0xba, 0xe0, 33], CF | ZF),
                ("bts rax, 63", &[0x48, 0x0f, 0xba, 0xe8, 63], CF | ZF),
                ("btr r8d, 31", &[0x41, 0x0f, 0xba, 0xf0, 31], CF | ZF),
                ("btc ax, 0x8f", &[0x66, 0x0f, 0xba, 0xf8, 0x8f], CF | ZF),
                ("bt [r9], imm", &[0x41, 0x0f, 0xba, 0x21, 70], CF | ZF),
                ("lock bts qword [r9], imm", &[0xf0, 0x49, 0x0f, 0xba, 0x29, 70], CF | ZF),
                ("btr dword [r9], imm", &[0x41, 0x0f, 0xba, 0x31, 255], CF | ZF),
                ("bsf rax, rcx", &[0x48, 0x0f, 0xbc, 0xc1], ZF),
                ("bsf eax, ecx", &[0x0f, 0xbc, 0xc1], ZF),
                ("bsf ax, cx", &[0x66, 0x0f, 0xbc, 0xc1], ZF),
                ("bsr rax, rcx", &[0x48, 0x0f, 0xbd, 0xc1], ZF),
                ("bsr eax, ecx", &[0x0f, 0xbd, 0xc1], ZF),
                ("bsr ax, cx", &[0x66, 0x0f, 0xbd, 0xc1], ZF),
                ("bsf rax, [r9]", &[0x49, 0x0f, 0xbc, 0x01], ZF),
                ("bsr ax, [r9]", &[0x66, 0x41, 0x0f, 0xbd, 0x01], ZF),
                ("bswap rcx", &[0x48, 0x0f, 0xc9], ALL),
                ("bswap edx", &[0x0f, 0xca], ALL),
            ],
            400,
        );
    }
}

/// Flags that the manual leaves undefined, as processors have them: PF is that of the number.
#[test]
fn scans_clear_all_flags_but_zf_and_pf() {
    use common::guest::{CODE, End, Guest};
    use monovisor_core::state::{RFlags, Register};
    let (bsf, bsr) = ([0x48, 0x0f, 0xbc, 0xc1], [0x48, 0x0f, 0xbd, 0xc1]);
    let mut guest = Guest::long_mode();
    for (code, value, flags) in [
        (bsf, 1 << 3, 0x04),
        (bsf, 1 << 7, 0),
        (bsf, 1 << 63, 0x04),
        (bsf, 0, 0x44),
        (bsr, u64::MAX, 0x04),
        (bsr, 1 << 31, 0),
        (bsr, 0, 0x44),
    ] {
        guest.state.rip = CODE;
        guest.state.rflags = RFlags::from_bits_retain(0x8d7);
        guest.set(Register::Rcx, value);
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.state.rflags.bits() & 0x8d5, flags, "{code:x?} {value:#x}");
    }
}

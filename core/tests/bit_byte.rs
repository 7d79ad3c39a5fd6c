//! BT, BTS, BTR, BTC, BSF, BSR, POPCNT, BSWAP.

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
                ("popcnt rax, rcx", &[0xf3, 0x48, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt eax, ecx", &[0xf3, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt ax, cx", &[0x66, 0xf3, 0x0f, 0xb8, 0xc1], ALL),
                ("popcnt r8d, [r9]", &[0xf3, 0x45, 0x0f, 0xb8, 0x01], ALL),
                ("bswap rcx", &[0x48, 0x0f, 0xc9], ALL),
                ("bswap edx", &[0x0f, 0xca], ALL),
            ],
            400,
        );
    }
}

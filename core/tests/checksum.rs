//! CRC32.

mod common;

#[cfg(target_arch = "x86_64")]
mod against_the_host {
    use crate::common::native::{ALL, compare_all};

    #[test]
    fn results_and_flags() {
        if !(is_x86_feature_detected!("sse4.2")) {
            eprintln!("skipped: this processor lacks the instructions");
            return;
        }
        compare_all(
            &[
                ("crc32 eax, cl", &[0xf2, 0x0f, 0x38, 0xf0, 0xc1], ALL),
                ("crc32 eax, ch", &[0xf2, 0x0f, 0x38, 0xf0, 0xc5], ALL),
                ("crc32 eax, cx", &[0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1], ALL),
                ("crc32 eax, ecx", &[0xf2, 0x0f, 0x38, 0xf1, 0xc1], ALL),
                ("crc32 rax, cl", &[0xf2, 0x48, 0x0f, 0x38, 0xf0, 0xc1], ALL),
                ("crc32 rax, rcx", &[0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc1], ALL),
                ("crc32 rcx, rcx", &[0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc9], ALL),
                ("crc32 r8, qword [r9]", &[0xf2, 0x4d, 0x0f, 0x38, 0xf1, 0x01], ALL),
                ("crc32 eax, byte [r9]", &[0xf2, 0x41, 0x0f, 0x38, 0xf0, 0x01], ALL),
                ("crc32 eax, word [r9]", &[0x66, 0xf2, 0x41, 0x0f, 0x38, 0xf1, 0x01], ALL),
            ],
            300,
        );
    }
}

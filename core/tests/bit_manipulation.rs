//! BMI1 and BMI2.

mod common;

#[cfg(target_arch = "x86_64")]
mod against_the_host {
    use crate::common::native::{ALL, CF, OF, SF, ZF, compare_all};

    #[test]
    fn results_and_flags() {
        if !(is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")) {
            eprintln!("skipped: this processor lacks the instructions");
            return;
        }
        compare_all(
            &[
                ("andn rax, rcx, rdx", &[0xc4, 0xe2, 0xf0, 0xf2, 0xc2], CF | ZF | SF | OF),
                ("andn eax, ecx, edx", &[0xc4, 0xe2, 0x70, 0xf2, 0xc2], CF | ZF | SF | OF),
                ("andn rcx, rcx, [r9]", &[0xc4, 0xc2, 0xf0, 0xf2, 0x09], CF | ZF | SF | OF),
                ("andn r8d, eax, [r9]", &[0xc4, 0x42, 0x78, 0xf2, 0x01], CF | ZF | SF | OF),
                ("bextr rax, rcx, rdx", &[0xc4, 0xe2, 0xe8, 0xf7, 0xc1], CF | ZF | OF),
                ("bextr eax, ecx, edx", &[0xc4, 0xe2, 0x68, 0xf7, 0xc1], CF | ZF | OF),
                ("bextr rax, [r9], rdx", &[0xc4, 0xc2, 0xe8, 0xf7, 0x01], CF | ZF | OF),
                ("blsi rax, rcx", &[0xc4, 0xe2, 0xf8, 0xf3, 0xd9], CF | ZF | SF | OF),
                ("blsi eax, ecx", &[0xc4, 0xe2, 0x78, 0xf3, 0xd9], CF | ZF | SF | OF),
                ("blsi rax, [r9]", &[0xc4, 0xc2, 0xf8, 0xf3, 0x19], CF | ZF | SF | OF),
                ("blsmsk rax, rcx", &[0xc4, 0xe2, 0xf8, 0xf3, 0xd1], CF | ZF | SF | OF),
                ("blsmsk eax, ecx", &[0xc4, 0xe2, 0x78, 0xf3, 0xd1], CF | ZF | SF | OF),
                ("blsmsk eax, [r9]", &[0xc4, 0xc2, 0x78, 0xf3, 0x11], CF | ZF | SF | OF),
                ("blsr rax, rcx", &[0xc4, 0xe2, 0xf8, 0xf3, 0xc9], CF | ZF | SF | OF),
                ("blsr ecx, ecx", &[0xc4, 0xe2, 0x70, 0xf3, 0xc9], CF | ZF | SF | OF),
                ("blsr rax, [r9]", &[0xc4, 0xc2, 0xf8, 0xf3, 0x09], CF | ZF | SF | OF),
                ("bzhi rax, rcx, rdx", &[0xc4, 0xe2, 0xe8, 0xf5, 0xc1], CF | ZF | SF | OF),
                ("bzhi eax, ecx, edx", &[0xc4, 0xe2, 0x68, 0xf5, 0xc1], CF | ZF | SF | OF),
                ("bzhi rax, [r9], rdx", &[0xc4, 0xc2, 0xe8, 0xf5, 0x01], CF | ZF | SF | OF),
                ("pdep rax, rcx, rdx", &[0xc4, 0xe2, 0xf3, 0xf5, 0xc2], ALL),
                ("pdep eax, ecx, edx", &[0xc4, 0xe2, 0x73, 0xf5, 0xc2], ALL),
                ("pdep rax, rcx, [r9]", &[0xc4, 0xc2, 0xf3, 0xf5, 0x01], ALL),
                ("pext rax, rcx, rdx", &[0xc4, 0xe2, 0xf2, 0xf5, 0xc2], ALL),
                ("pext eax, ecx, edx", &[0xc4, 0xe2, 0x72, 0xf5, 0xc2], ALL),
                ("pext eax, ecx, [r9]", &[0xc4, 0xc2, 0x72, 0xf5, 0x01], ALL),
                ("mulx rax, rcx, rdx", &[0xc4, 0xe2, 0xf3, 0xf6, 0xc2], ALL),
                ("mulx eax, ecx, ebx", &[0xc4, 0xe2, 0x73, 0xf6, 0xc3], ALL),
                ("mulx rcx, rcx, rax", &[0xc4, 0xe2, 0xf3, 0xf6, 0xc8], ALL),
                ("mulx rax, rdx, [r9]", &[0xc4, 0xc2, 0xeb, 0xf6, 0x01], ALL),
                ("mulx eax, ecx, [r9]", &[0xc4, 0xc2, 0x73, 0xf6, 0x01], ALL),
                ("mulx rdx, rax, rdx", &[0xc4, 0xe2, 0xfb, 0xf6, 0xd2], ALL),
                ("rorx rax, rcx, 0", &[0xc4, 0xe3, 0xfb, 0xf0, 0xc1, 0x00], ALL),
                ("rorx eax, ecx, 7", &[0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 0x07], ALL),
                ("rorx rax, rcx, 63", &[0xc4, 0xe3, 0xfb, 0xf0, 0xc1, 0x3f], ALL),
                ("rorx eax, [r9], 33", &[0xc4, 0xc3, 0x7b, 0xf0, 0x01, 0x21], ALL),
                ("rorx rax, [r9], 200", &[0xc4, 0xc3, 0xfb, 0xf0, 0x01, 0xc8], ALL),
                ("sarx rax, rcx, rdx", &[0xc4, 0xe2, 0xea, 0xf7, 0xc1], ALL),
                ("sarx eax, ecx, edx", &[0xc4, 0xe2, 0x6a, 0xf7, 0xc1], ALL),
                ("sarx rax, [r9], rdx", &[0xc4, 0xc2, 0xea, 0xf7, 0x01], ALL),
                ("shlx rax, rcx, rdx", &[0xc4, 0xe2, 0xe9, 0xf7, 0xc1], ALL),
                ("shlx eax, ecx, edx", &[0xc4, 0xe2, 0x69, 0xf7, 0xc1], ALL),
                ("shlx ecx, ecx, ecx", &[0xc4, 0xe2, 0x71, 0xf7, 0xc9], ALL),
                ("shlx eax, [r9], edx", &[0xc4, 0xc2, 0x69, 0xf7, 0x01], ALL),
                ("shrx rax, rcx, rdx", &[0xc4, 0xe2, 0xeb, 0xf7, 0xc1], ALL),
                ("shrx eax, ecx, edx", &[0xc4, 0xe2, 0x6b, 0xf7, 0xc1], ALL),
                ("shrx rax, [r9], rdx", &[0xc4, 0xc2, 0xeb, 0xf7, 0x01], ALL),
            ],
            300,
        );
    }
}

mod where_they_exist {
    use crate::common::guest::{End, Guest};
    use monovisor_core::state::{Exception, RFlags, Register};

    const ANDN: [u8; 5] = [0xc4, 0xe2, 0x70, 0xf2, 0xc2];
    const UNDEFINED: End = End::Fault(Exception::UD);

    #[test]
    fn not_in_real_mode_nor_locked_nor_with_256_bits() {
        assert_eq!(Guest::real_mode().run(&ANDN), UNDEFINED);
        let mut guest = Guest::protected();
        (guest.state.gpr[Register::Rcx], guest.state.gpr[Register::Rdx]) = (0b1010, 0b0110);
        assert_eq!(guest.run(&ANDN), End::Done);
        assert_eq!(guest.get(Register::Rax), 0b0100);
        let rows: [&[u8]; 5] = [
            &[0xc4, 0xe2, 0x74, 0xf2, 0xc2],
            &[0xf0, 0xc4, 0xe2, 0x70, 0xf2, 0xc2],
            &[0x66, 0xc4, 0xe2, 0x70, 0xf2, 0xc2],
            &[0x40, 0xc4, 0xe2, 0x70, 0xf2, 0xc2],
            // No instruction: 0F 38 F3 /0.
            &[0xc4, 0xe2, 0x70, 0xf3, 0xc2],
        ];
        for code in rows {
            assert_eq!(Guest::long_mode().run(code), UNDEFINED, "{code:02x?}");
        }
    }

    /// What an instruction that does not exist would write is not missing in the flags that its
    /// exception finds.
    #[test]
    fn flags_in_front_of_an_undefined_one_are_seen() {
        let mut guest = Guest::real_mode();
        // xor eax, eax; andn
        let code = [&[0x66, 0x31, 0xc0][..], &ANDN].concat();
        assert_eq!(guest.run(&code), UNDEFINED);
        assert_eq!(guest.state.rip, 3);
        assert!(guest.state.rflags.contains(RFlags::ZERO_FLAG));
    }

    /// Flags of the instruction in front are seen behind one that leaves them alone, and a result is
    /// taken from where it is.
    #[test]
    fn chains() {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rax, 5);
        guest.set(Register::Rcx, 2);
        // sub rax, 5; shlx rdx, rcx, rcx; shlx rdx, rdx, rcx; setz bl; blsr rsi, rdx; setc dil
        let code = [
            &[0x48, 0x83, 0xe8, 0x05][..],
            &[0xc4, 0xe2, 0xf1, 0xf7, 0xd1],
            &[0xc4, 0xe2, 0xf1, 0xf7, 0xd2],
            &[0x0f, 0x94, 0xc3],
            &[0xc4, 0xe2, 0xc8, 0xf3, 0xca],
            &[0x40, 0x0f, 0x92, 0xc7],
        ]
        .concat();
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.get(Register::Rdx), 32);
        assert_eq!(guest.get(Register::Rbx) & 0xff, 1);
        assert_eq!(guest.get(Register::Rsi), 0);
        assert_eq!(guest.get(Register::Rdi) & 0xff, 0);
    }
}

//! [`snippet!`](crate::snippet!): machine code as data, for code that a test copies elsewhere: to a
//! page for user mode, to a page that it then modifies, to low memory for real mode.

/// The bytes of some assembly, as a `&'static [u8]`. The code must not depend on its address.
#[macro_export]
macro_rules! snippet {
    ($($line:literal),+ $(,)?) => {{
        let (start, end): (*const u8, *const u8);
        // SAFETY: the code goes to a section of its own and isn't executed here; both labels bound it.
        unsafe {
            ::core::arch::asm!(
                ".pushsection .rodata.snippet, \"a\", @progbits",
                "771:",
                $($line,)+
                "772:",
                ".popsection",
                "lea {start}, [rip + 771b]",
                "lea {end}, [rip + 772b]",
                start = out(reg) start,
                end = out(reg) end,
                options(pure, nomem, nostack, preserves_flags),
            );
            let code: &'static [u8] =
                ::core::slice::from_raw_parts(start, end as usize - start as usize);
            code
        }
    }};
}

//! [`entry!`](crate::entry!): names a guest's `main`, and puts exactly one boot protocol's header
//! into its image, so that a test knows by which door it was entered.

/// Makes `fn main()` the guest's main function. PVH is the protocol unless another is named:
/// `multiboot`, `multiboot2`, or `elf` for an image that has nothing but its entry point. With
/// `pvh_in_user_mode` all of the guest's Rust runs in user mode, with ports and without exceptions.
///
/// ```ignore
/// #![no_std]
/// #![no_main]
/// guest_tests::entry!(main);
///
/// fn main() {
///     guest_tests::println!("hello");
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::entry!($main, pvh);
    };
    ($main:path, $protocol:ident) => {
        $crate::boot_header!($protocol);

        #[cfg(test)]
        ::core::compile_error!("a guest is no host test: name it in guest-tests/Cargo.toml");

        #[unsafe(no_mangle)]
        extern "Rust" fn guest_main() {
            let main: fn() = $main;
            main()
        }
    };
}

/// A guest that is assembly alone, entered by PVH in 32-bit protected mode: for machines that cannot run
/// compiled code, which uses SSE, in kernel mode.
#[macro_export]
macro_rules! bare {
    ($($line:literal),* $(,)?) => {
        // The panic handler, which nothing calls.
        use guest_tests as _;

        $crate::boot_header!(note);
        ::core::arch::global_asm!(
            ".pushsection .text.guest_entry, \"ax\", @progbits",
            ".global guest_entry",
            ".code32",
            "guest_entry:",
            $($line,)*
            ".code64",
            ".popsection",
        );
    };
}

/// The header of one protocol; `guest_entry` is what the ELF header names.
#[doc(hidden)]
#[macro_export]
macro_rules! boot_header {
    (pvh) => {
        $crate::boot_header!(pvh "pvh_start");
    };
    (pvh_in_user_mode) => {
        $crate::boot_header!(pvh "pvh_start_in_user_mode");
    };
    (pvh $start:literal) => {
        $crate::boot_header!(note);
        $crate::boot_header!(entry $start);
    };
    // Xen's public/elfnote.h: an ELF note XEN_ELFNOTE_PHYS32_ENTRY (18), as wide as Linux has it.
    (note) => {
        ::core::arch::global_asm!(
            ".pushsection .note.pvh, \"a\", @note",
            ".balign 4",
            ".long 4, 8, 18",
            ".asciz \"Xen\"",
            ".quad guest_entry",
            ".popsection",
        );
    };
    // Multiboot Specification, Header layout. QEMU takes a 64-bit ELF only with the address fields
    // (bit 16); bits 0 and 1 ask for page-aligned modules and the memory map.
    (multiboot) => {
        ::core::arch::global_asm!(
            ".pushsection .multiboot, \"a\", @progbits",
            ".balign 8",
            "multiboot_header:",
            ".long 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)",
            ".long multiboot_header, image_start, image_data_end, image_end, guest_entry",
            ".popsection",
        );
        $crate::boot_header!(entry "multiboot_start");
    };
    // Multiboot 2 Specification, Header layout: no tags but the end tag, ELF fields say the rest.
    (multiboot2) => {
        ::core::arch::global_asm!(
            ".pushsection .multiboot, \"a\", @progbits",
            ".balign 8",
            ".long 0xe85250d6, 0, 24, 0x100000000 - (0xe85250d6 + 24)",
            ".short 0, 0",
            ".long 8",
            ".popsection",
        );
        $crate::boot_header!(entry "multiboot_start");
    };
    // The ELF header's entry point, in whichever mode it is entered: the jump's bytes are the same.
    (entry $start:literal) => {
        ::core::arch::global_asm!(
            ".pushsection .text.guest_entry, \"ax\", @progbits",
            ".global guest_entry",
            "guest_entry:",
            ::core::concat!("jmp ", $start),
            ".popsection",
        );
    };
    (elf) => {
        $crate::boot_header!(entry "elf_start");
    };
}

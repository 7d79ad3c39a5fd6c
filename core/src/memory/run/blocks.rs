//! Copies and fills in blocks of 32 bytes and what remains of one, on x86-64 hosts. Each access is
//! one instruction of assembly, and goes through nothing but the registers it names.

use core::arch::asm;

/// Copies `bytes` bytes, lowest first.
///
/// # Safety
/// They are mapped at both pointers, writable at `target`.
#[inline(always)]
pub(super) unsafe fn copy_up(source: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: the caller vouches for the bytes, and no others are touched.
    unsafe {
        asm!(
            "sub {n}, 32",
            "jb 3f",
            "2: movups {x}, [{s}]",
            "movups {y}, [{s} + 16]",
            "movups [{t}], {x}",
            "movups [{t} + 16], {y}",
            "add {s}, 32",
            "add {t}, 32",
            "sub {n}, 32",
            "jae 2b",
            "3: test {n:l}, 31",
            "jz 8f",
            "test {n:l}, 16",
            "jz 4f",
            "movups {x}, [{s}]",
            "movups [{t}], {x}",
            "add {s}, 16",
            "add {t}, 16",
            "4: test {n:l}, 8",
            "jz 5f",
            "mov {w}, [{s}]",
            "mov [{t}], {w}",
            "add {s}, 8",
            "add {t}, 8",
            "5: test {n:l}, 4",
            "jz 6f",
            "mov {w:e}, [{s}]",
            "mov [{t}], {w:e}",
            "add {s}, 4",
            "add {t}, 4",
            "6: test {n:l}, 2",
            "jz 7f",
            "movzx {w:e}, word ptr [{s}]",
            "mov [{t}], {w:x}",
            "add {s}, 2",
            "add {t}, 2",
            "7: test {n:l}, 1",
            "jz 8f",
            "movzx {w:e}, byte ptr [{s}]",
            "mov [{t}], {w:l}",
            "8:",
            s = inout(reg) source => _,
            t = inout(reg) target => _,
            n = inout(reg) bytes => _,
            w = out(reg) _,
            x = out(xmm_reg) _,
            y = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// Copies the `bytes` bytes that end at the pointers, highest first.
///
/// # Safety
/// They are mapped below both pointers, writable below `target`.
#[inline(always)]
pub(super) unsafe fn copy_down(source: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: the caller vouches for the bytes, and no others are touched.
    unsafe {
        asm!(
            "sub {n}, 32",
            "jb 3f",
            "2: movups {x}, [{s} - 16]",
            "movups {y}, [{s} - 32]",
            "movups [{t} - 16], {x}",
            "movups [{t} - 32], {y}",
            "sub {s}, 32",
            "sub {t}, 32",
            "sub {n}, 32",
            "jae 2b",
            "3: test {n:l}, 31",
            "jz 8f",
            "test {n:l}, 16",
            "jz 4f",
            "sub {s}, 16",
            "sub {t}, 16",
            "movups {x}, [{s}]",
            "movups [{t}], {x}",
            "4: test {n:l}, 8",
            "jz 5f",
            "sub {s}, 8",
            "sub {t}, 8",
            "mov {w}, [{s}]",
            "mov [{t}], {w}",
            "5: test {n:l}, 4",
            "jz 6f",
            "sub {s}, 4",
            "sub {t}, 4",
            "mov {w:e}, [{s}]",
            "mov [{t}], {w:e}",
            "6: test {n:l}, 2",
            "jz 7f",
            "sub {s}, 2",
            "sub {t}, 2",
            "movzx {w:e}, word ptr [{s}]",
            "mov [{t}], {w:x}",
            "7: test {n:l}, 1",
            "jz 8f",
            "movzx {w:e}, byte ptr [{s} - 1]",
            "mov [{t} - 1], {w:l}",
            "8:",
            s = inout(reg) source => _,
            t = inout(reg) target => _,
            n = inout(reg) bytes => _,
            w = out(reg) _,
            x = out(xmm_reg) _,
            y = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// Stores as much of a repeated `pattern` as fills `bytes` bytes.
///
/// # Safety
/// They are mapped writable at `target`.
#[inline(always)]
pub(super) unsafe fn fill(target: *mut u8, pattern: u64, bytes: usize) {
    // SAFETY: the caller vouches for the bytes, and no others are touched.
    unsafe {
        asm!(
            "sub {n}, 32",
            "jb 3f",
            "movq {x}, {w}",
            "punpcklqdq {x}, {x}",
            "2: movups [{t}], {x}",
            "movups [{t} + 16], {x}",
            "add {t}, 32",
            "sub {n}, 32",
            "jae 2b",
            "3: test {n:l}, 31",
            "jz 8f",
            "test {n:l}, 16",
            "jz 4f",
            "mov [{t}], {w}",
            "mov [{t} + 8], {w}",
            "add {t}, 16",
            "4: test {n:l}, 8",
            "jz 5f",
            "mov [{t}], {w}",
            "add {t}, 8",
            "5: test {n:l}, 4",
            "jz 6f",
            "mov [{t}], {w:e}",
            "add {t}, 4",
            "6: test {n:l}, 2",
            "jz 7f",
            "mov [{t}], {w:x}",
            "add {t}, 2",
            "7: test {n:l}, 1",
            "jz 8f",
            "mov [{t}], {w:l}",
            "8:",
            t = inout(reg) target => _,
            n = inout(reg) bytes => _,
            w = in(reg) pattern,
            x = out(xmm_reg) _,
            options(nostack),
        );
    }
}

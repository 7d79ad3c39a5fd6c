//! CMPXCHG, CMPXCHG8B, CMPXCHG16B and XADD: what is stored, what is loaded, ZF, and #GP(0) for 16 bytes
//! that aren't aligned (SDM, CMPXCHG; CMPXCHG8B/CMPXCHG16B; XADD).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::cpuid;
use guest_tests::interrupt::vector::GP;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

#[repr(align(16))]
struct Aligned([u64; 4]);

fn main() {
    check_eq!(exchange_4(7, 7, 9), (9, 7, true), "CMPXCHG of 4 bytes, equal");
    check_eq!(exchange_4(7, 8, 9), (7, 7, false), "CMPXCHG of 4 bytes, different");
    // What is compared is the operand's width; what is loaded clears RAX's upper half.
    check_eq!(exchange_4(7, 0xffff_0000_0000_0007, 9).0, 9, "CMPXCHG of 4 bytes, RAX's upper half");
    check_eq!(exchange_4(5, 0xffff_0000_0000_0007, 9).1, 5, "RAX after a CMPXCHG that failed");

    for offset in [0, 1, 3] {
        let (low, high) = (0x1111_1111_u32, 0x2222_2222);
        check_eq!(exchange_8(offset, low, high), (0x4444_4444_3333_3333, low, high, true));
        check_eq!(exchange_8(offset, 1, high), (0x2222_2222_1111_1111, low, high, false));
    }

    assert!(cpuid(1, 0).ecx & 1 << 13 != 0, "CPUID offers no CMPXCHG16B");
    let mut memory = Aligned([1, 2, 3, 4]);
    check_eq!(exchange_16(&raw mut memory.0[0], 1, 2), (1, 2, true));
    check_eq!(memory.0, [0x33, 0x44, 3, 4]);
    check_eq!(exchange_16(&raw mut memory.0[0], 1, 2), (0x33, 0x44, false));
    check_eq!(memory.0, [0x33, 0x44, 3, 4]);
    let misaligned = &raw mut memory.0[1];
    let fault = fault_of(|| {
        exchange_16(misaligned, 1, 2);
    });
    check_eq!(fault.fault(), (u64::from(GP), 0), "16 bytes that aren't aligned");

    let (mut word, mut register) = (0x7fff_u16, 1_u16);
    // SAFETY: the word is a local.
    unsafe { asm!("lock xadd [{}], {:x}", in(reg) &raw mut word, inout(reg) register) };
    check_eq!((word, register), (0x8000, 0x7fff), "XADD");
}

fn exchange_4(memory: u32, rax: u64, new: u32) -> (u32, u64, bool) {
    let (mut memory, mut rax) = (memory, rax);
    let mut is_equal = 0_u8;
    // SAFETY: the word is a local.
    unsafe {
        asm!(
            "lock cmpxchg [{memory}], {new:e}",
            "sete {is_equal}",
            memory = in(reg) &raw mut memory,
            new = in(reg) new,
            is_equal = inout(reg_byte) is_equal,
            inout("rax") rax,
        )
    };
    (memory, rax, is_equal != 0)
}

fn exchange_8(offset: usize, low: u32, high: u32) -> (u64, u32, u32, bool) {
    let mut memory = [0_u64; 2];
    let at = memory.as_mut_ptr().wrapping_byte_add(offset);
    let (mut eax, mut edx): (u32, u32) = (low, high);
    let mut is_equal = 0_u8;
    // SAFETY: the 8 bytes lie in `memory`. RBX, which is LLVM's, is put back.
    unsafe {
        at.write_unaligned(0x2222_2222_1111_1111);
        asm!(
            "xchg rbx, {ebx}",
            "lock cmpxchg8b [{at}]",
            "sete {is_equal}",
            "mov rbx, {ebx}",
            at = in(reg) at,
            ebx = inout(reg) 0x3333_3333_u64 => _,
            is_equal = inout(reg_byte) is_equal,
            inout("eax") eax,
            inout("edx") edx,
            in("ecx") 0x4444_4444_u32,
        );
        (at.read_unaligned(), eax, edx, is_equal != 0)
    }
}

fn exchange_16(at: *mut u64, low: u64, high: u64) -> (u64, u64, bool) {
    let (mut rax, mut rdx): (u64, u64) = (low, high);
    let mut is_equal = 0_u8;
    // SAFETY: the 16 bytes are the caller's. RBX, which is LLVM's, is put back.
    unsafe {
        asm!(
            "xchg rbx, {rbx}",
            "lock cmpxchg16b [{at}]",
            "sete {is_equal}",
            "mov rbx, {rbx}",
            at = in(reg) at,
            rbx = inout(reg) 0x33_u64 => _,
            is_equal = inout(reg_byte) is_equal,
            inout("rax") rax,
            inout("rdx") rdx,
            in("rcx") 0x44_u64,
        )
    };
    (rax, rdx, is_equal != 0)
}

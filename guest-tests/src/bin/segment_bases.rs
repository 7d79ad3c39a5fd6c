//! FS and GS: their bases by MSR, by WRFSBASE and WRGSBASE, and exchanged by SWAPGS; a descriptor's
//! base comes with its selector (SDM, Segment Loading Instructions in IA-32e Mode; SWAPGS; WRFSBASE).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr4, rdmsr, set_cr4, wrmsr};
use guest_tests::interrupt::vector::UD;
use guest_tests::register::cr4::FSGSBASE;
use guest_tests::register::msr::{IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE};
use guest_tests::segment::{FIRST_FREE, set_descriptor};
use guest_tests::{check_eq, fault_of, snippet, user};

guest_tests::entry!(main);

fn main() {
    let words = [1_u64, 2, 3, 4];
    let base = words.as_ptr() as u64;
    let (fs, gs): (u64, u64);
    // SAFETY: the runtime uses neither segment; the words are locals.
    unsafe {
        wrmsr(IA32_FS_BASE, base);
        wrmsr(IA32_GS_BASE, base + 16);
        asm!("mov {}, fs:[8]", "mov {}, gs:[8]", out(reg) fs, out(reg) gs);
    }
    check_eq!((fs, gs), (2, 4), "FS:[8], GS:[8]");

    // SAFETY: as above.
    unsafe {
        wrmsr(IA32_KERNEL_GS_BASE, 0x1111);
        asm!("swapgs");
    }
    check_eq!((rdmsr(IA32_GS_BASE), rdmsr(IA32_KERNEL_GS_BASE)), (0x1111, base + 16), "SWAPGS");

    assert!(cpuid(7, 0).ebx & 1 != 0, "CPUID offers no FSGSBASE");
    // SAFETY: it faults, which `fault_of` expects.
    let without = fault_of(|| unsafe { asm!("rdfsbase {}", out(reg) _) });
    check_eq!(without.vector, u64::from(UD), "RDFSBASE without CR4.FSGSBASE");
    // SAFETY: the bit only lets the instructions be used.
    unsafe { set_cr4(cr4() | FSGSBASE) };
    let (read, cut): (u64, u64);
    // SAFETY: as above.
    unsafe {
        asm!("wrfsbase {0}", "rdfsbase {1}", in(reg) base + 8, out(reg) read);
        asm!("wrgsbase {0:e}", "rdgsbase {1}", in(reg) 0xffff_ffff_8000_0000_u64, out(reg) cut);
    }
    check_eq!((read, cut), (base + 8, 0x8000_0000), "WRFSBASE, WRGSBASE of 32 bits");
    check_eq!(rdmsr(IA32_FS_BASE), base + 8, "IA32_FS_BASE after WRFSBASE");
    let in_user = user::run_code(snippet!("wrgsbase rdi", "rdgsbase rax", "int 0x80"), 0x7654, 0);
    check_eq!((in_user.vector, in_user.rax), (0x80, 0x7654), "WRGSBASE in user mode");

    // Base 0x12345678, data.
    set_descriptor(FIRST_FREE, 0x12cf_9334_5678_ffff);
    // SAFETY: as above.
    unsafe { asm!("mov fs, {:x}", in(reg) FIRST_FREE) };
    check_eq!(rdmsr(IA32_FS_BASE), 0x1234_5678, "a descriptor's base");
}

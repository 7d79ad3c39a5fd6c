//! MMX registers are those of the x87: a write reaches the physical register with all ones above it,
//! makes it the top of the stack and marks all as valid; EMMS empties them; what the x87 has left and
//! what the system withholds comes first (SDM, Programming With Intel MMX Technology).
//@ qemu: differs: QEMU 7.2's TCG leaves the bits above a written MMX register as they were; SDM, Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word: they become ones

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr0, set_cr0};
use guest_tests::interrupt::vector::{MF, NM, UD};
use guest_tests::register::cr0::{EM, NE, TS};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const ONE: u128 = 0x3fff << 64 | 1 << 63;
/// All exceptions but invalid operation masked.
const INVALID_UNMASKED: u16 = 0x37e;

#[repr(C, align(16))]
struct Area([u128; 32]);

impl Area {
    fn status(&self) -> u128 {
        self.0[0] >> 16 & 0xffff
    }

    fn tags(&self) -> u128 {
        self.0[0] >> 32 & 0xff
    }

    fn register(&self, index: usize) -> u128 {
        self.0[2 + index] & ((1 << 80) - 1)
    }
}

/// What FXSAVE tells behind these instructions, with `value` in RAX; the x87 is initialised again.
macro_rules! state_behind {
    ($value:expr, $($instruction:literal),*) => {{
        let mut area = Area([0; 32]);
        // SAFETY: the area is aligned and large enough; nothing of Rust is in the x87's registers.
        unsafe {
            asm!(
                "fninit", $($instruction,)* "fxsave64 [{area}]", "fninit",
                area = in(reg) &raw mut area, inout("rax") $value => _,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            );
        }
        area
    }};
}

/// The vector of an MMX instruction with these bits of CR0 set, behind an invalid operation.
fn vector_with(bits: u64) -> Option<u64> {
    let (old, control) = (cr0(), INVALID_UNMASKED);
    // SAFETY: CR0 and the x87 are put back, here or below; in between is nothing but assembly.
    let fault = catch(|| unsafe {
        asm!(
            "fninit", "fldcw [{control}]", "fldz", "fdiv st(0), st(0)",
            "mov cr0, {new}", "paddb mm0, mm1", "mov cr0, {old}",
            control = in(reg) &raw const control,
            new = in(reg) old | NE | bits, old = in(reg) old,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        )
    });
    // SAFETY: as they were.
    unsafe {
        set_cr0(old);
        asm!("fninit", options(nomem, nostack));
    }
    fault.map(|frame| frame.vector)
}

fn main() {
    assert!(cpuid(1, 0).edx & 1 << 23 != 0, "CPUID offers no MMX");
    let value = 0x0123_4567_89ab_cdef_u64;

    let area = state_behind!(value, "fld1", "movq mm3, rax");
    check_eq!(area.status(), 0, "TOP behind a write");
    check_eq!(area.tags(), 0xff, "tags behind a write");
    check_eq!(area.register(3), 0xffff << 64 | u128::from(value), "MM3");
    check_eq!(area.register(7), ONE, "FLD1 went to physical register 7");

    let area = state_behind!(value, "fld1", "fld1", "movq rax, mm6");
    check_eq!((area.status(), area.tags()), (0, 0xff), "TOP and tags behind a read");
    check_eq!(area.register(6), ONE, "a read changes no register");

    let area = state_behind!(value, "movq mm0, rax", "paddd mm0, mm0", "emms");
    check_eq!((area.status(), area.tags()), (0, 0), "TOP and tags behind EMMS");
    let doubled = 0x0246_8ace_1357_9bde_u128;
    check_eq!(area.register(0), 0xffff << 64 | doubled, "the sum stays");

    // Without EMMS the stack is full: the load is invalid, and gives the indefinite.
    let area = state_behind!(value, "movq mm0, rax", "fld1");
    check_eq!(area.status() & 0x41, 0x41, "a stack fault");
    let area = state_behind!(value, "movq mm0, rax", "emms", "fld1");
    check_eq!(area.status() & 0x41, 0, "no stack fault behind EMMS");
    check_eq!(area.register(0), ONE, "FLD1 behind EMMS");

    // All ones above it and no integer bit: no number that the x87 supports.
    let area = state_behind!(value, "movq mm0, rax", "fxam", "emms");
    check_eq!(area.status() & 0x4500, 0, "FXAM of what MMX has written");

    check_eq!(vector_with(0), Some(u64::from(MF)), "an exception of the x87");
    check_eq!(vector_with(TS), Some(u64::from(NM)), "CR0.TS comes before it");
    check_eq!(vector_with(TS | EM), Some(u64::from(UD)), "CR0.EM before both");
}

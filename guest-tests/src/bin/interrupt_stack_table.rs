//! Which stack an interrupt gets in 64-bit mode: the IST entry, aligned down to 16 bytes; without one,
//! RSP0 from user mode and the current stack, aligned down, from supervisor mode (SDM, Interrupt Stack
//! Table; Stack Switching in IA-32e Mode).

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::interrupt::{Frame, Gate, set_gate, set_handler};
use guest_tests::segment::{KERNEL_DATA, tss};
use guest_tests::{check_eq, paging, snippet, user};

guest_tests::entry!(main);

const VECTOR: u8 = 0x80;
/// One behind the frame that the handler saw, and RSP and SS in it.
static FRAME_END: AtomicU64 = AtomicU64::new(0);
static RSP: AtomicU64 = AtomicU64::new(0);
static SS: AtomicU64 = AtomicU64::new(0);

fn note(frame: &mut Frame) {
    FRAME_END.store(frame as *mut Frame as u64 + size_of::<Frame>() as u64, Relaxed);
    RSP.store(frame.rsp, Relaxed);
    SS.store(frame.ss, Relaxed);
}

fn main() {
    let top = paging::frames(4, paging::PAGE) + 4 * paging::PAGE;
    set_handler(VECTOR, note);

    for misaligned in [0, 1, 8, 15] {
        // SAFETY: entry 5 is no other gate's.
        unsafe { (*tss()).ist[4] = top - 64 + misaligned };
        set_gate(VECTOR, Gate { ist: 5, ..Gate::to_stub(VECTOR) });
        let rsp = interrupt(0);
        check_eq!(FRAME_END.load(Relaxed), top - 64, "IST, from {misaligned}");
        check_eq!(RSP.load(Relaxed), rsp, "the interrupted RSP");
        check_eq!(SS.load(Relaxed), u64::from(KERNEL_DATA), "the interrupted SS");
    }

    set_gate(VECTOR, Gate { ist: 0, ..Gate::to_stub(VECTOR) });
    for misaligned in [0, 1, 8, 15] {
        let rsp = interrupt(misaligned);
        check_eq!(FRAME_END.load(Relaxed), rsp & !15, "no IST, from {misaligned}");
        check_eq!(RSP.load(Relaxed), rsp, "the interrupted RSP");
    }

    // SAFETY: no other gate is without an IST entry.
    unsafe { (*tss()).rsp[0] = top - 128 };
    user::run_code(snippet!("int 0x80", "int 0x81"), 0, 0);
    check_eq!(FRAME_END.load(Relaxed), top - 128, "RSP0");
    check_eq!(RSP.load(Relaxed), user::STACK_TOP, "the user's RSP");
}

/// Raises the interrupt with RSP lowered by `misaligned` more than the red zone, and returns RSP.
fn interrupt(misaligned: u64) -> u64 {
    let rsp: u64;
    // SAFETY: RSP is put back; the handler works below it.
    unsafe {
        asm!(
            "mov {saved}, rsp",
            "sub rsp, 256",
            "and rsp, -16",
            "sub rsp, {misaligned}",
            "mov {rsp}, rsp",
            "int 0x80",
            "mov rsp, {saved}",
            saved = out(reg) _,
            misaligned = in(reg) misaligned,
            rsp = out(reg) rsp,
        )
    };
    rsp
}

//! The way from an IDT gate to `dispatch` and back: 256 stubs and their common part.

use super::dispatch;
use crate::register::cr0;
use crate::segment::{IST1_OFFSET, IST1_STEP, TASKS};
use core::arch::naked_asm;

/// Bytes from one stub to the next.
const STUB_BYTES: usize = 16;

/// Linear address of the stub of `vector`.
pub(super) fn stub(vector: u8) -> u64 {
    stubs as *const () as u64 + u64::from(vector) * STUB_BYTES as u64
}

/// One stub a vector: they make frames with and without an error code alike.
#[unsafe(naked)]
#[unsafe(link_section = ".text.stubs")]
extern "C" fn stubs() {
    naked_asm!(
        ".balign {bytes}",
        ".set stub_vector, 0",
        ".rept 256",
        ".balign {bytes}",
        // #DF, #TS to #PF, #AC, #CP push their own.
        ".if stub_vector != 8 && (stub_vector < 10 || stub_vector > 14) && stub_vector != 17 \
         && stub_vector != 21",
        "push 0",
        ".endif",
        "push stub_vector",
        "jmp {common}",
        ".set stub_vector, stub_vector + 1",
        ".endr",
        bytes = const STUB_BYTES,
        common = sym common,
    )
}

/// Saves everything, calls `dispatch` with the frame, restores everything.
///
/// IST1 of the processor's own TSS is lowered meanwhile, so that a fault in a handler has a stack of its own. A test may have
/// made SSE fault (CR0.TS, CR0.EM, CR4.OSFXSR); that is lifted while the handler runs.
#[unsafe(naked)]
extern "C" fn common() {
    naked_asm!(
        // The frame from its end: SS, RSP, RFLAGS, CS, RIP, error code and vector are there.
        "sub rsp, 8",
        "push rax",
        "mov rax, cr2",
        "mov [rsp + 8], rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rbx, rsp",
        // A slot of eight bytes in the descriptor table is two for a TSS: half as many pointers.
        "xor r12d, r12d",
        "str r12w",
        "shr r12d, 4",
        "lea rax, [rip + {tasks}]",
        "mov r12, [rax + 8 * r12]",
        "sub qword ptr [r12 + {ist1}], {step}",
        "mov r13, cr0",
        "mov r14, cr4",
        "test r13d, {em_ts}",
        "jz 2f",
        "mov rax, r13",
        "and eax, {not_em_ts}",
        "mov cr0, rax",
        "2: bt r14, {osfxsr}",
        "jc 3f",
        "mov rax, r14",
        "bts rax, {osfxsr}",
        "mov cr4, rax",
        "3: and rsp, -16",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "cld",
        "mov rdi, rbx",
        "call {dispatch}",
        "fxrstor64 [rsp]",
        "bt r14, {osfxsr}",
        "jc 4f",
        "mov cr4, r14",
        "4: test r13d, {em_ts}",
        "jz 5f",
        "mov cr0, r13",
        "5: add qword ptr [r12 + {ist1}], {step}",
        "mov rsp, rbx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        // CR2, vector, error code.
        "add rsp, 24",
        "iretq",
        tasks = sym TASKS,
        ist1 = const IST1_OFFSET,
        step = const IST1_STEP,
        em_ts = const EM_TS,
        not_em_ts = const !EM_TS,
        osfxsr = const 9,
        dispatch = sym dispatch,
    )
}

/// CR0.EM and CR0.TS.
const EM_TS: u32 = (cr0::EM | cr0::TS) as u32;

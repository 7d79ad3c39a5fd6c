//! 16-bit code under a 64-bit kernel, with a 16-bit stack: widths of operands, addresses and pushes; far calls
//! to 32-bit code and through a gate to 64-bit code; exceptions, single steps, page faults and system calls
//! from there, and the return by IRETQ, which leaves the upper half of ESP alone (SDM, Compatibility Mode;
//! IRET).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::x86_64::__cpuid;
use core::arch::{asm, naked_asm};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::cpu::wrmsr;
use guest_tests::interrupt::vector::{DB, PF, UD};
use guest_tests::interrupt::{Frame, Gate, remove_handler, set_gate, set_handler};
use guest_tests::paging::{self, USER};
use guest_tests::register::msr::{IA32_SYSENTER_CS, IA32_SYSENTER_EIP, IA32_SYSENTER_ESP};
use guest_tests::register::rflags::{IF, TF};
use guest_tests::segment::{
    FIRST_FREE, KERNEL_CODE, KERNEL_CODE_16, KERNEL_DATA, set_descriptor, tss,
};
use guest_tests::user::{self, Context};
use guest_tests::{check_eq, device, snippet};

guest_tests::entry!(main);

/// Bases of the segments, of 64 KiB each.
const CODE: u64 = 0xa000_0000;
const STACK: u64 = 0xa002_0000;
const KERNEL_STACK: u64 = 0x1_0000;
/// Where code with an offset of 16 bits can be without a base.
const LOW: u64 = 0x8000;

const CODE_16: u16 = FIRST_FREE | 3;
const STACK_16: u16 = (FIRST_FREE + 0x08) | 3;
/// The code segment of 32 bits has the same base.
const CODE_32: u16 = (FIRST_FREE + 0x10) | 3;
/// A stack of privilege level 0 that does not begin at 0.
const KERNEL_STACK_16: u16 = FIRST_FREE + 0x18;
/// A call gate, two slots wide.
const GATE: u16 = (FIRST_FREE + 0x20) | 3;

const SYSENTER_STACK: u64 = 0x7_0000_8000;

/// RSP in a 64-bit handler, and what it has found there.
static mut FOUND: [u64; 6] = [0; 6];
static STACK_POINTER: AtomicU64 = AtomicU64::new(0);

fn main() {
    describe();
    for page in [CODE, STACK, STACK + 0xf000] {
        paging::map_new(page, USER);
    }
    widths();
    upper_half_of_esp();
    other_widths();
    through_a_gate();
    events();
    system_calls();
    privilege_level_0();
}

fn describe() {
    let segment = |base: u64, rights: u64| {
        0xffff | (base & 0xff_ffff) << 16 | rights << 40 | (base >> 24) << 56
    };
    set_descriptor(CODE_16, segment(CODE, 0x00fb));
    set_descriptor(STACK_16, segment(STACK, 0x00f3));
    set_descriptor(CODE_32, segment(CODE, 0x40fb));
    set_descriptor(KERNEL_STACK_16, segment(KERNEL_STACK, 0x0093));
    let target = called as *const () as u64;
    let (low, high) = (target & 0xffff, target >> 16 & 0xffff);
    set_descriptor(GATE, low | u64::from(KERNEL_CODE) << 16 | 0xec << 40 | high << 48);
    set_descriptor(GATE + 8, target >> 32);
}

fn place(offset: u64, code: &[u8]) {
    // SAFETY: the page is mapped for this alone.
    unsafe { ptr::copy_nonoverlapping(code.as_ptr(), (CODE + offset) as *mut u8, code.len()) };
}

fn stack(offset: u64) -> u16 {
    // SAFETY: both pages of the stack that are asked for are mapped.
    unsafe { ptr::read_volatile((STACK + offset) as *const u16) }
}

/// Runs `code` at privilege level 3 until something ends it.
fn run(code: &[u8], rsp: u64, rflags: u64) -> Frame {
    place(0, code);
    let rflags = rflags | 2;
    user::run(Context { cs: CODE_16, ss: STACK_16, rip: 0, rsp, rflags, ..Context::default() })
}

fn widths() {
    let code = snippet!(
        ".code16",
        "push ss",
        "pop ds",
        "mov eax, -1",
        // One byte, which 64-bit mode takes for a REX prefix.
        "inc ax",
        // The sum of both has 16 bits.
        "mov bx, 0xfff0",
        "mov si, 0x20",
        "mov word ptr [bx + si], 0x5a5a",
        "lea edi, [bx + si]",
        "mov dx, sp",
        "push 0x1234",
        "push eax",
        "sub dx, sp",
        "pop eax",
        "pop cx",
        "int 0x80",
        ".code64",
    );
    let left = run(code, 0x800, 0);
    check_eq!((left.vector, left.cs, left.ss), (0x80, CODE_16.into(), STACK_16.into()));
    check_eq!(left.rip, code.len() as u64);
    check_eq!(left.rax, 0xffff_0000, "INC of 16 bits behind a MOV of 32");
    check_eq!((left.rdi, stack(0x10)), (0x10, 0x5a5a), "BX + SI");
    check_eq!((left.rdx as u16, left.rcx as u16), (6, 0x1234), "a PUSH of 16 bits, one of 32");
    check_eq!(left.rsp as u16, 0x800);
}

fn upper_half_of_esp() {
    // IRETQ gives the code SP. What is above is the kernel's, and stays when SP wraps.
    let code =
        snippet!(".code16", "mov eax, esp", "push 0x4321", "mov edx, esp", "int 0x80", ".code64",);
    let left = run(code, 0x1234_0000, 0);
    check_eq!((left.rax as u16, left.rdx as u16, stack(0xfffe)), (0, 0xfffe, 0x4321));
    check_eq!(left.rax >> 16, left.rdx >> 16, "the upper half around a PUSH at 0");
    check_eq!(left.rsp, left.rdx, "RSP in the frame");
    check_eq!(left.rax >> 16 == 0x1234, false, "IRETQ restores the upper half");

    // An exception saves all of ESP, its return restores SP.
    set_handler(UD, |frame| {
        STACK_POINTER.store(frame.rsp, Relaxed);
        frame.rip += 2;
    });
    let code =
        snippet!(".code16", "mov esp, 0x56780100", "ud2", "mov eax, esp", "int 0x80", ".code64");
    let left = run(code, 0x800, 0);
    remove_handler(UD);
    check_eq!(STACK_POINTER.load(Relaxed), 0x5678_0100, "RSP in the frame");
    check_eq!((left.vector, left.rax as u16), (0x80, 0x100), "SP behind the handler");
    check_eq!(left.rax >> 16 == 0x5678, false, "the handler's return restores the upper half");
}

fn other_widths() {
    place(0x100, snippet!(".code32", "mov ecx, 0x11223344", ".byte 0x66", "retf", ".code64"));
    place(0x110, snippet!(".code32", "mov edx, esp", "mov esi, [esp + 4]", "retf", ".code64"));
    const { assert!(CODE_32 == 0x6b) };
    let code = snippet!(
        ".code16",
        "push ss",
        "pop ds",
        "mov bx, sp",
        // CALL 6b:0100 with an operand of 16 bits, CALL 6b:00000110 with one of 32.
        ".byte 0x9a, 0x00, 0x01, 0x6b, 0x00",
        "mov ax, [0x7fc]",
        "movzx esp, sp",
        ".byte 0x66, 0x9a, 0x10, 0x01, 0x00, 0x00, 0x6b, 0x00",
        "sub bx, sp",
        "int 0x80",
        ".code64",
    );
    let left = run(code, 0x800, 0);
    check_eq!((left.vector, left.cs), (0x80, CODE_16.into()));
    check_eq!((left.rcx, left.rax as u16), (0x1122_3344, 9), "there and back with 16 bits");
    check_eq!((left.rdx, left.rsi as u16), (0x7f8, CODE_16), "there and back with 32 bits");
    check_eq!(left.rbx as u16, 0, "what is left on the stack");
}

/// The gate's target.
#[unsafe(naked)]
extern "C" fn called() {
    naked_asm!(
        "mov [rip + {found}], rsp",
        "pop qword ptr [rip + {found} + 8]",
        "pop qword ptr [rip + {found} + 16]",
        "pop qword ptr [rip + {found} + 24]",
        "pop qword ptr [rip + {found} + 32]",
        "sub rsp, 32",
        "retfq",
        found = sym FOUND,
    )
}

fn through_a_gate() {
    const { assert!(GATE == 0x7b) };
    // CALL 7b:0
    let code = snippet!(
        ".code16",
        "mov ebx, esp",
        ".byte 0x9a, 0x00, 0x00, 0x7b, 0x00",
        "mov ax, sp",
        "int 0x80",
        ".code64",
    );
    let left = run(code, 0x800, 0);
    // SAFETY: nobody writes it now.
    let (found, top) = unsafe { (FOUND, (*tss()).rsp[0]) };
    check_eq!((left.vector, left.cs, left.ss), (0x80, CODE_16.into(), STACK_16.into()));
    check_eq!(found[0], top - 32, "a 64-bit gate pushes quadwords");
    let expected = [8, CODE_16.into(), left.rbx, STACK_16.into()];
    check_eq!(found[1..5], expected, "RIP, CS, RSP, SS");
    check_eq!(left.rax as u16, 0x800, "SP behind the return");
}

fn events() {
    let left = run(snippet!("nop", "nop", "nop"), 0x800, TF);
    check_eq!((left.vector, left.rip, left.cs), (DB.into(), 1, CODE_16.into()), "single step");
    let code = snippet!(".code16", "push ss", "pop ds", "mov al, [0x5000]", ".code64");
    let left = run(code, 0x800, 0);
    check_eq!((left.fault(), left.rip), ((PF.into(), 5), 2), "a page of the kernel");
    check_eq!(left.cr2, STACK + 0x5000);
}

#[unsafe(naked)]
extern "C" fn entered() {
    naked_asm!("ud2")
}

fn system_calls() {
    // With IF set, a timer that firmware has left running would interrupt.
    device::pic::init();
    let entry = entered as *const () as u64;
    // SAFETY: the registers concern SYSENTER alone, which the runtime does not use.
    unsafe {
        wrmsr(IA32_SYSENTER_CS, KERNEL_CODE.into());
        wrmsr(IA32_SYSENTER_ESP, SYSENTER_STACK);
        wrmsr(IA32_SYSENTER_EIP, entry);
    }
    let left = run(snippet!("sysenter"), 0x800, IF);
    check_eq!((left.vector, left.rip), (UD.into(), entry), "SYSENTER");
    check_eq!((left.cs, left.ss), (KERNEL_CODE.into(), KERNEL_DATA.into()));
    check_eq!((left.rsp, left.rflags & IF), (SYSENTER_STACK, 0), "all of RSP");
    // AMD's processors have SYSCALL in compatibility mode.
    let intel = __cpuid(0).ebx == u32::from_le_bytes(*b"Genu");
    if intel {
        let left = run(snippet!("syscall"), 0x800, 0);
        check_eq!((left.vector, left.rip), (UD.into(), 0), "SYSCALL");
    }
}

/// A handler without a stack of its own.
#[unsafe(naked)]
extern "C" fn on_the_same_stack() {
    naked_asm!(
        "mov [rip + {found}], rsp",
        "pop qword ptr [rip + {found} + 8]",
        "pop qword ptr [rip + {found} + 16]",
        "add rsp, 8",
        "pop qword ptr [rip + {found} + 32]",
        "pop qword ptr [rip + {found} + 40]",
        "sub rsp, 40",
        "iretq",
        found = sym FOUND,
    )
}

fn privilege_level_0() {
    let offset = on_the_same_stack as *const () as u64;
    set_gate(0x81, Gate { offset, ist: 0, ..Gate::to_stub(0x81) });
    const { assert!(KERNEL_CODE == 8 && KERNEL_STACK_16 == 0x70) };
    let code = snippet!(
        ".code16",
        "mov ax, 0x70",
        "mov ss, ax",
        "int 0x81",
        // To 8:EDI.
        ".byte 0x66, 0x6a, 0x08",
        "push edi",
        ".byte 0x66",
        "retf",
        ".code64",
    );
    // SAFETY: interrupts are off; code and stacks are in low memory that nobody uses; what changes is named.
    unsafe {
        ptr::copy_nonoverlapping(code.as_ptr(), LOW as *mut u8, code.len());
        asm!(
            "mov r12, rsp",
            "lea rdi, [rip + 2f]",
            "mov esp, 0x7000",
            "push {code16}",
            "push {address}",
            "retfq",
            "2: mov rsp, r12",
            "mov eax, {data}",
            "mov ss, eax",
            code16 = const KERNEL_CODE_16,
            address = const LOW,
            data = const KERNEL_DATA,
            out("rax") _,
            out("rdi") _,
            out("r12") _,
        )
    };
    // SAFETY: nobody writes it now; the memory is mapped.
    let (found, pushed) = unsafe { (FOUND, ptr::read((KERNEL_STACK + 0x6ffc) as *const u32)) };
    check_eq!(found[0], 0x7000 - 40, "a 64-bit handler's stack has no base");
    check_eq!((found[1], found[2]), (LOW + 7, KERNEL_CODE_16.into()), "RIP, CS");
    check_eq!((found[4], found[5]), (0x7000, KERNEL_STACK_16.into()), "RSP, SS");
    check_eq!(pushed, 8, "behind IRETQ the stack has its base");
}

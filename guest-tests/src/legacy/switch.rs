//! The way from 64-bit mode to legacy protected mode and back (SDM, "Switching Out of IA-32e Mode
//! Operation", "Initializing IA-32e Mode"). Both directions run in code that is mapped to itself, so
//! that paging can go off and on under it.

use core::arch::{asm, global_asm};
use core::ptr::{addr_of, addr_of_mut};

use super::{
    CODE, CODE_0, CODE_3, CODE_64, CODE_PARAGRAPH, DATA_0, DATA_3, GDT, IDT, LOCAL_TABLE, Legacy,
    SPARE_TASK, STACK, STACK_3, TASK,
};
use crate::interrupt::load_idt;
use crate::register::eflags::VM;
use crate::segment::{DescriptorTablePointer, KERNEL_DATA};

/// What a test's code starts with.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the manuals name them")]
pub struct Context {
    pub eip: u32,
    pub esp: u32,
    pub eflags: u32,
    pub cs: u16,
    pub ss: u16,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
    /// EAX, EBX, ECX and EDX.
    pub registers: [u32; 4],
    /// 0 for no paging.
    pub cr3: u32,
    pub cr4: u32,
    /// Set beside PE and what 64-bit mode has.
    pub cr0: u32,
}

impl Context {
    /// Privilege level 0 in flat segments.
    pub const LEVEL_0: Self = Self {
        eip: CODE,
        esp: STACK,
        eflags: 2,
        cs: CODE_0,
        ss: DATA_0,
        ds: DATA_0,
        es: DATA_0,
        fs: DATA_0,
        gs: DATA_0,
        registers: [0; 4],
        cr3: 0,
        cr4: 0,
        cr0: 0,
    };

    /// Privilege level 3 in flat segments.
    pub const LEVEL_3: Self = Self {
        esp: STACK_3,
        cs: CODE_3,
        ss: DATA_3,
        ds: DATA_3,
        es: DATA_3,
        fs: DATA_3,
        gs: DATA_3,
        ..Self::LEVEL_0
    };

    /// Virtual-8086 mode, with a stack in the code's segment, and IOPL 0.
    pub const VIRTUAL_8086: Self = Self {
        eip: 0,
        esp: 0xf000,
        eflags: VM | 2,
        cs: CODE_PARAGRAPH,
        ss: CODE_PARAGRAPH,
        ds: CODE_PARAGRAPH,
        es: CODE_PARAGRAPH,
        fs: CODE_PARAGRAPH,
        gs: CODE_PARAGRAPH,
        ..Self::LEVEL_0
    };
}

/// What the handler found, in the order in which it lies on its stack. Behind EFLAGS there is
/// something only if the event came from another privilege level, behind SS only if it came from
/// virtual-8086 mode.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the manuals name them")]
pub struct Caught {
    /// In the handler.
    pub gs: u32,
    pub fs: u32,
    pub es: u32,
    pub ds: u32,
    pub edi: u32,
    pub esi: u32,
    pub ebp: u32,
    /// In the handler, with all above EDI on the stack.
    pub esp: u32,
    pub ebx: u32,
    pub edx: u32,
    pub ecx: u32,
    pub eax: u32,
    pub vector: u32,
    pub error_code: u32,
    pub eip: u32,
    pub cs: u32,
    pub eflags: u32,
    pub old_esp: u32,
    pub old_ss: u32,
    pub old_es: u32,
    pub old_ds: u32,
    pub old_fs: u32,
    pub old_gs: u32,
    /// In the handler.
    pub tr: u32,
    pub cr0: u32,
    pub ss: u32,
    pub dr6: u32,
}

impl Caught {
    /// Vector and error code.
    pub fn fault(&self) -> (u8, u32) {
        (self.vector as u8, self.error_code)
    }
}

const ON_STACK: usize = 23;

#[repr(C)]
#[derive(Clone, Copy)]
struct Start {
    esp: u32,
    ss: u32,
    data: [u32; 4],
    registers: [u32; 4],
    cr3: u32,
    cr4: u32,
    cr0: u32,
}

/// What the handler leaves beside its stack: ESP, TR, CR0, SS, DR6.
static mut FOUND: [u32; 5] = [0; 5];
static mut START: Start =
    Start { esp: 0, ss: 0, data: [0; 4], registers: [0; 4], cr3: 0, cr4: 0, cr0: 0 };
/// RSP, CR0, CR3 and CR4 of 64-bit mode, and its GDTR.
static mut KEPT: [u64; 4] = [0; 4];
static mut KEPT_GDTR: DescriptorTablePointer = DescriptorTablePointer { limit: 0, base: 0 };
static mut TABLES: [DescriptorTablePointer; 2] = [
    DescriptorTablePointer { limit: super::BEYOND - 1, base: GDT as u64 },
    DescriptorTablePointer { limit: 0x7ff, base: IDT as u64 },
];

unsafe extern "C" {
    fn legacy_enter();
    fn legacy_handler();
}

/// Where the stubs of all gates go on, with vector and error code on the stack.
pub(super) fn handler() -> u32 {
    legacy_handler as *const () as u32
}

pub(super) fn run(legacy: &mut Legacy, context: &Context) -> Caught {
    let segment = u32::from;
    let frame = frame(context);
    let outer = context.eflags & VM != 0 || context.cs & 3 != 0;
    let (esp, ss) = match outer {
        true => (STACK, DATA_0),
        false => (context.esp, context.ss),
    };
    let count = match (context.eflags & VM != 0, outer) {
        (true, _) => 9,
        (false, true) => 5,
        (false, false) => 3,
    };
    let esp = esp - 4 * count;
    for (index, item) in (0..).zip(&frame[..count as usize]) {
        legacy.write(esp + index * 4, *item);
    }
    let data = [context.ds, context.es, context.fs, context.gs];
    // Of virtual-8086 mode they come from the frame.
    let data = if count == 9 { [DATA_0; 4] } else { data };
    let start = Start {
        esp,
        ss: segment(ss),
        data: data.map(segment),
        registers: context.registers,
        cr3: context.cr3,
        cr4: context.cr4,
        cr0: context.cr0 | 1,
    };
    // SAFETY: interrupts are off on the way, and all that 64-bit mode needs is put back.
    unsafe {
        *addr_of_mut!(START) = start;
        asm!("call {}", sym legacy_enter, clobber_abi("C"));
    }
    load_idt(0xfff);
    crate::segment::reload_task();
    // SAFETY: the handler wrote it, on a stack of the tables.
    unsafe {
        let [esp, tr, cr0, ss, dr6] = *addr_of!(FOUND);
        let mut words = [0_u32; ON_STACK + 4];
        for (index, word) in (0..).zip(&mut words[..ON_STACK]) {
            *word = legacy.read(esp + index * 4);
        }
        // Pushes of segment registers write 16 bits.
        words[..4].iter_mut().for_each(|selector| *selector &= 0xffff);
        words[ON_STACK..].copy_from_slice(&[tr & 0xffff, cr0, ss & 0xffff, dr6]);
        core::mem::transmute::<[u32; ON_STACK + 4], Caught>(words)
    }
}

/// The frame that IRETD takes, of which it may take only the first part.
fn frame(context: &Context) -> [u32; 9] {
    let segment = u32::from;
    [
        context.eip,
        segment(context.cs),
        context.eflags,
        context.esp,
        segment(context.ss),
        segment(context.es),
        segment(context.ds),
        segment(context.fs),
        segment(context.gs),
    ]
}

global_asm!(
    ".globl legacy_enter",
    "legacy_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "pushfq",
    "cli",
    "mov [rip + {kept}], rsp",
    "mov rax, cr0",
    "mov [rip + {kept} + 8], rax",
    "mov rax, cr3",
    "mov [rip + {kept} + 16], rax",
    "mov rax, cr4",
    "mov [rip + {kept} + 24], rax",
    "sgdt [rip + {kept_gdtr}]",
    "lgdt [rip + {tables}]",
    "lidt [rip + {tables} + 10]",
    "push {code_0}",
    "lea rax, [rip + 2f]",
    "push rax",
    "retfq",
    ".code32",
    "2: mov eax, {data_0}",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "mov eax, cr0",
    "btr eax, 31",
    "mov cr0, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "btr eax, 8",
    "wrmsr",
    "mov esi, offset {start}",
    "mov eax, [esi + 44]",
    "mov cr4, eax",
    "mov ecx, cr0",
    "or ecx, [esi + 48]",
    "mov eax, [esi + 40]",
    "mov cr3, eax",
    "test eax, eax",
    "jz 3f",
    "bts ecx, 31",
    "3: mov cr0, ecx",
    "mov eax, {local}",
    "lldt ax",
    "mov eax, {task}",
    "ltr ax",
    "mov eax, [esi + 24]",
    "mov ebx, [esi + 28]",
    "mov ecx, [esi + 32]",
    "mov edx, [esi + 36]",
    "mov es, [esi + 12]",
    "mov fs, [esi + 16]",
    "mov gs, [esi + 20]",
    "mov ss, [esi + 4]",
    "mov esp, [esi]",
    "mov ds, [esi + 8]",
    "iretd",
    ".globl legacy_handler",
    "legacy_handler:",
    "pushad",
    // PUSH DS, ES, FS, GS, of which the assembler would make 16-bit ones.
    ".byte 0x1e, 0x06, 0x0f, 0xa0, 0x0f, 0xa8",
    "mov eax, {data_0}",
    "mov ds, eax",
    "mov es, eax",
    "mov esi, offset {found}",
    "mov [esi], esp",
    "xor eax, eax",
    "str ax",
    "mov [esi + 4], eax",
    "mov eax, cr0",
    "mov [esi + 8], eax",
    "mov [esi + 12], ss",
    "mov eax, dr6",
    "mov [esi + 16], eax",
    // NT, TF and AC of a task that was entered go.
    "push 2",
    "popfd",
    "clts",
    "mov eax, {data_0}",
    "mov ss, eax",
    "mov eax, cr0",
    "btr eax, 31",
    "mov cr0, eax",
    "mov eax, {spare}",
    "ltr ax",
    "xor eax, eax",
    "lldt ax",
    "mov esi, offset {kept}",
    "mov eax, [esi + 24]",
    "mov cr4, eax",
    "mov eax, [esi + 16]",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "bts eax, 8",
    "wrmsr",
    "mov eax, [esi + 8]",
    "mov cr0, eax",
    ".byte 0xea",
    ".long 4f",
    ".short {code_64}",
    ".code64",
    "4: mov rsp, [rip + {kept}]",
    "lgdt [rip + {kept_gdtr}]",
    "mov eax, {kernel_data}",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "xor eax, eax",
    "mov fs, eax",
    "mov gs, eax",
    "popfq",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    kept = sym KEPT,
    kept_gdtr = sym KEPT_GDTR,
    tables = sym TABLES,
    start = sym START,
    found = sym FOUND,
    code_0 = const CODE_0,
    data_0 = const DATA_0,
    local = const LOCAL_TABLE,
    task = const TASK,
    spare = const SPARE_TASK,
    code_64 = const CODE_64,
    kernel_data = const KERNEL_DATA,
);

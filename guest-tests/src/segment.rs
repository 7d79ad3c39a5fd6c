//! The global descriptor table and the task state segments. The boot code, the runtime, the tests and
//! all processors share one table; tests have some slots from `FIRST_FREE` on, and behind these each
//! started processor has two for its task state segment.

use alloc::alloc::{Layout, alloc_zeroed};
use core::arch::{asm, naked_asm};
use core::ptr::{addr_of, addr_of_mut, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use x86_64::PrivilegeLevel;
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::SegmentSelector;

/// 64-bit code, CPL 0. With `KERNEL_DATA` behind it, as SYSCALL wants.
pub const KERNEL_CODE: u16 = 0x08;
/// Flat data, CPL 0.
pub const KERNEL_DATA: u16 = 0x10;
/// Flat 32-bit code, CPL 3; the first of the three that SYSRET wants in a row.
pub const USER_CODE_32: u16 = 0x18 | 3;
/// Flat data, CPL 3.
pub const USER_DATA: u16 = 0x20 | 3;
/// 64-bit code, CPL 3.
pub const USER_CODE: u16 = 0x28 | 3;
/// The task state segment, two slots wide.
pub const TASK: u16 = 0x30;
/// Flat 32-bit code, CPL 0.
pub const KERNEL_CODE_32: u16 = 0x40;
/// 16-bit code, base 0, limit 64 KiB, CPL 0: the way into real mode.
pub const KERNEL_CODE_16: u16 = 0x48;
/// 16-bit data, base 0, limit 64 KiB, CPL 0.
pub const KERNEL_DATA_16: u16 = 0x50;
/// The first selector that is free for tests.
pub const FIRST_FREE: u16 = 0x58;
/// The first slot behind those for tests.
const FIRST_PROCESSOR: usize = 24;
/// Processors that can be started.
const PROCESSORS: usize = 256;
const SLOTS: usize = FIRST_PROCESSOR + 2 * PROCESSORS;

/// The descriptors above, each with its accessed bit set, so that the processor need not.
static mut GDT: [u64; SLOTS] = {
    let mut table = [0; SLOTS];
    table[KERNEL_CODE as usize / 8] = 0x00af_9b00_0000_ffff;
    table[KERNEL_DATA as usize / 8] = 0x00cf_9300_0000_ffff;
    table[USER_CODE_32 as usize / 8] = 0x00cf_fb00_0000_ffff;
    table[USER_DATA as usize / 8] = 0x00cf_f300_0000_ffff;
    table[USER_CODE as usize / 8] = 0x00af_fb00_0000_ffff;
    table[KERNEL_CODE_32 as usize / 8] = 0x00cf_9b00_0000_ffff;
    table[KERNEL_CODE_16 as usize / 8] = 0x0000_9b00_0000_ffff;
    table[KERNEL_DATA_16 as usize / 8] = 0x0000_9300_0000_ffff;
    table
};

/// What LGDT loads, in 32-bit and 64-bit mode alike.
#[repr(C, packed)]
pub struct DescriptorTablePointer {
    /// The table's last valid offset.
    pub limit: u16,
    /// The table's linear address.
    pub base: u64,
}

// SAFETY: it is written by no one.
unsafe impl Sync for GdtPointer {}

/// Wraps the pointer to the GDT: a static that holds an address can't be an integer.
#[repr(C, packed)]
pub(crate) struct GdtPointer {
    limit: u16,
    base: *const [u64; SLOTS],
}

pub(crate) static GDT_POINTER: GdtPointer =
    GdtPointer { limit: (SLOTS * 8 - 1) as u16, base: addr_of!(GDT) };

/// Bytes of the I/O permission bitmap, its closing byte of ones included.
const BITMAP_BYTES: usize = 65536 / 8 + 1;
/// Stacks in a row on which exceptions may nest, each this long.
const STACK_BYTES: usize = 16 * 1024;
const NESTING: usize = 8;
/// Where [`Tss::ist`]'s first entry lies, for the exception entry.
pub(crate) const IST1_OFFSET: usize = 36;
/// By how much the exception entry lowers the first IST entry while a handler runs.
pub(crate) const IST1_STEP: usize = STACK_BYTES;

/// The 64-bit task state segment (SDM, Task Management in 64-bit Mode), with a whole I/O bitmap.
#[repr(C, packed)]
pub struct Tss {
    reserved_0: u32,
    /// Stacks of the privilege levels 0 to 2.
    pub rsp: [u64; 3],
    reserved_1: u64,
    /// The interrupt stack table; entry 0 is IST1.
    pub ist: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    /// Offset of `io_bitmap`; beyond the limit, as it starts, there is none.
    pub io_bitmap_base: u16,
    /// One bit a port, zero where it is permitted.
    pub io_bitmap: [u8; BITMAP_BYTES],
}

/// Offset of the I/O bitmap in the TSS.
pub const IO_BITMAP_OFFSET: u16 = 104;
const NO_IO_BITMAP: u16 = 0xffff;

static mut TSS: Tss = Tss {
    reserved_0: 0,
    rsp: [0; 3],
    reserved_1: 0,
    ist: [0; 7],
    reserved_2: 0,
    reserved_3: 0,
    io_bitmap_base: NO_IO_BITMAP,
    io_bitmap: [0xff; BITMAP_BYTES],
};

#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

static mut NESTED_STACKS: [Stack; NESTING] = [const { Stack([0; _]) }; NESTING];
static mut NMI_STACK: Stack = Stack([0; _]);
static mut DOUBLE_FAULT_STACK: Stack = Stack([0; _]);
static mut KERNEL_STACK: Stack = Stack([0; _]);

/// IST entry of every handler but two: it moves down while a handler runs, so handlers can fault.
pub const IST_COMMON: u8 = 1;
/// IST entry of NMI.
pub const IST_NMI: u8 = 2;
/// IST entry of #DF.
pub const IST_DOUBLE_FAULT: u8 = 3;

/// The bootstrap processor's task state segment.
pub fn tss() -> *mut Tss {
    addr_of_mut!(TSS)
}

/// The descriptor in `selector`'s slot of the GDT.
pub fn descriptor(selector: u16) -> u64 {
    // SAFETY: the index is checked; the table is only written by `set_descriptor` and the processor.
    unsafe { (*addr_of!(GDT))[usize::from(selector / 8)] }
}

/// Replaces the descriptor in `selector`'s slot; segment registers keep what they have loaded.
pub fn set_descriptor(selector: u16, descriptor: u64) {
    // SAFETY: as above; while other processors start, only the bootstrap processor writes.
    unsafe { (*addr_of_mut!(GDT))[usize::from(selector / 8)] = descriptor };
}

/// Makes the TSS and loads TR; GDTR and the segment registers are the boot code's work.
pub(crate) fn init() {
    let tss = tss();
    let top = |stack: *mut Stack| stack as u64 + STACK_BYTES as u64;
    // SAFETY: no handler runs before the IDT is loaded, and the stacks have no other user.
    unsafe {
        (*tss).rsp[0] = top(addr_of_mut!(KERNEL_STACK));
        (*tss).ist[usize::from(IST_COMMON) - 1] =
            top(addr_of_mut!(NESTED_STACKS).cast::<Stack>().add(NESTING - 1));
        (*tss).ist[usize::from(IST_NMI) - 1] = top(addr_of_mut!(NMI_STACK));
        (*tss).ist[usize::from(IST_DOUBLE_FAULT) - 1] = top(addr_of_mut!(DOUBLE_FAULT_STACK));
    }
    // Whatever a test loads into TR before the slots of other processors, the entry finds this one.
    TASKS[..FIRST_PROCESSOR / 2].iter().for_each(|task| task.store(tss, Ordering::Relaxed));
    describe(TASK, tss);
    load(TASK);
}

/// Loads TR with the TSS, all ports opened to user mode. In assembly, and called in assembly: RAX,
/// RCX and RDX change, SSE is not touched.
#[unsafe(naked)]
pub(crate) extern "C" fn open_ports() {
    naked_asm!(
        "mov edx, offset {tss}",
        "mov word ptr [rdx + {base}], {bitmap}",
        "xor eax, eax",
        "2: mov qword ptr [rdx + rax + {bitmap}], 0",
        "add eax, 8",
        "cmp eax, 65536 / 8",
        "jne 2b",
        // The descriptor's second word has the base's upper half, which is 0.
        "mov eax, edx",
        "shl eax, 16",
        "or eax, {limit}",
        "mov ecx, edx",
        "and edx, 0xff000000",
        "shr ecx, 16",
        "movzx ecx, cl",
        "lea ecx, [rcx + rdx + {available}]",
        "mov edx, offset {gdt} + {task}",
        "mov [rdx], eax",
        "mov [rdx + 4], ecx",
        "mov eax, {task}",
        "ltr ax",
        "ret",
        tss = sym TSS,
        base = const core::mem::offset_of!(Tss, io_bitmap_base),
        bitmap = const IO_BITMAP_OFFSET,
        limit = const size_of::<Tss>() - 1,
        // A present 64-bit TSS that is not busy.
        available = const 0x8900,
        gdt = sym GDT,
        task = const TASK,
    )
}

/// The task state segments by their selectors' slots, two each: for the exception entry.
pub(crate) static TASKS: [AtomicPtr<Tss>; SLOTS / 2] =
    [const { AtomicPtr::new(null_mut()) }; SLOTS / 2];

/// What a started processor has for itself.
#[repr(C)]
struct Processor {
    tss: Tss,
    nested: [Stack; NESTING],
    nmi: Stack,
    double_fault: Stack,
    kernel: Stack,
    main: Stack,
}

/// Gives a processor that is to be started its task state segment and stacks, the same whenever it
/// is started, and returns the end of the stack it starts on.
pub(crate) fn prepare_processor(number: usize) -> u64 {
    let slot = FIRST_PROCESSOR / 2 + number;
    if TASKS[slot].load(Ordering::Relaxed).is_null() {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(Layout::new::<Processor>()) };
        assert!(!memory.is_null(), "no memory for processor {number}");
        TASKS[slot].store(memory.cast(), Ordering::Release);
    }
    let tss = TASKS[slot].load(Ordering::Relaxed);
    let processor: *mut Processor = tss.cast();
    let top = |stack: *mut Stack| stack as u64 + STACK_BYTES as u64;
    // SAFETY: all zeros are a `Processor`; the processor does not run, so nobody else uses it.
    unsafe {
        (*tss).rsp[0] = top(addr_of_mut!((*processor).kernel));
        (*tss).ist[usize::from(IST_COMMON) - 1] =
            top(addr_of_mut!((*processor).nested[NESTING - 1]));
        (*tss).ist[usize::from(IST_NMI) - 1] = top(addr_of_mut!((*processor).nmi));
        (*tss).ist[usize::from(IST_DOUBLE_FAULT) - 1] =
            top(addr_of_mut!((*processor).double_fault));
        (*tss).io_bitmap_base = NO_IO_BITMAP;
        describe(processor_selector(number), tss);
        top(addr_of_mut!((*processor).main))
    }
}

/// Loads TR on a processor that was prepared.
pub(crate) fn load_processor(number: usize) {
    load(processor_selector(number));
}

/// The selector in TR, which tells processors apart.
pub(crate) fn task() -> u16 {
    let selector: u16;
    // SAFETY: it changes nothing.
    unsafe { asm!("str {:x}", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    selector
}

/// The number of the processor that executes this.
pub(crate) fn processor_number() -> usize {
    match task() {
        TASK => 0,
        selector => (usize::from(selector) / 8 - FIRST_PROCESSOR) / 2,
    }
}

fn processor_selector(number: usize) -> u16 {
    ((FIRST_PROCESSOR + 2 * number) * 8) as u16
}

/// Makes `selector`'s slot and the next an available TSS.
fn describe(selector: u16, tss: *mut Tss) {
    let (low, high) = task_descriptor(tss as u64, size_of::<Tss>() as u64 - 1);
    set_descriptor(selector, low);
    set_descriptor(selector + 8, high);
}

fn load(selector: u16) {
    // SAFETY: the two slots were filled before.
    unsafe { load_tss(SegmentSelector::new(selector / 8, PrivilegeLevel::Ring0)) };
}

/// Loads TR of the bootstrap processor anew, after it has held something else.
pub(crate) fn reload_task() {
    describe(TASK, tss());
    load(TASK);
}

/// Both halves of the descriptor of an available 64-bit TSS.
pub fn task_descriptor(base: u64, limit: u64) -> (u64, u64) {
    let low = limit & 0xffff
        | (base & 0xff_ffff) << 16
        | 0x89 << 40
        | (limit & 0xf_0000) << 32
        | (base >> 24 & 0xff) << 56;
    (low, base >> 32)
}

//! Real mode, entered from legacy protected mode: all data segments are of 64 KiB, the interrupt vector
//! table at 0 leads each vector to a handler that goes back and ends the run.
//!
//! Code and handlers are in the segment of [`CODE`], operands in that of [`DATA`], whose upper half is the
//! stack's if a test does not say otherwise.

use super::{CODE, CODE_PARAGRAPH, Context, DATA, FREE, IDT, Legacy, kind, segment};
use crate::snippet;

/// The paragraph of the data, and where the stack of a test starts.
const DATA_PARAGRAPH: u16 = (DATA >> 4) as u16;
/// Where in the code's segment the parts are: the way down, the test's code, what the gates lead to, the
/// handler, and what it finds.
const ENTER: u16 = 0x0000;
const STUBS: u16 = 0x4000;
const HANDLER: u16 = 0x5000;
const FOUND: u16 = 0x6000;
/// 16-bit code of protected mode, with the offsets of real mode.
const CODE_16: u16 = FREE + 0x300;
const DATA_16: u16 = FREE + 0x308;

/// What the code of a test starts with in real mode.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the manuals name them")]
pub struct Real {
    /// EAX, EBX, ECX, EDX, ESI, EDI and EBP.
    pub registers: [u32; 7],
    pub esp: u32,
    pub ss: u16,
    pub ds: u16,
    pub es: u16,
    pub flags: u16,
    /// MP, EM and TS, of which none is set otherwise.
    pub cr0: u32,
    /// The last byte of the interrupt vector table.
    pub idt_limit: u16,
}

impl Real {
    /// Where a test's code is in its segment.
    pub const CODE: u16 = 0x1000;
    /// Interrupts off, and a stack that ends with the data's segment.
    pub const START: Self = Self {
        registers: [0; 7],
        esp: 0xfff0,
        ss: DATA_PARAGRAPH,
        ds: DATA_PARAGRAPH,
        es: DATA_PARAGRAPH,
        flags: 2,
        cr0: 0,
        idt_limit: 0x3ff,
    };
}

/// What the handler found in real mode.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the manuals name them")]
pub struct Found {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    /// As it was before the interrupt.
    pub esp: u32,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
    pub ss: u16,
    pub vector: u16,
    /// What the interrupt has pushed.
    pub ip: u16,
    pub cs: u16,
    pub flags: u16,
    pub flags_inside: u16,
}

impl Legacy {
    /// Runs `code` in real mode until an interrupt ends it.
    pub fn run_real(&mut self, start: &Real, code: &[u8]) -> Found {
        self.describe(CODE_16, segment(CODE, 0xffff, kind::CODE, (false, false)));
        self.describe(DATA_16, segment(DATA, 0xffff, kind::DATA, (false, false)));
        for vector in 0..=255_u16 {
            let at = STUBS + vector * 8;
            self.write(u32::from(vector) * 4, [at, CODE_PARAGRAPH]);
            let jump = HANDLER.wrapping_sub(at + 6).to_le_bytes();
            let vector = vector.to_le_bytes();
            self.write(CODE + u32::from(at), [0x68, vector[0], vector[1], 0xe9, jump[0], jump[1]]);
        }
        self.copy(CODE + u32::from(HANDLER), leave());
        self.copy(CODE + u32::from(Real::CODE), code);
        let parameters = CODE + u32::from(FOUND) - 0x40;
        for (at, value) in (0..).zip(start.registers.iter().chain([&start.esp, &start.cr0])) {
            self.write(parameters + at * 4, *value);
        }
        let words = [start.ss, start.ds, start.es, start.flags, start.idt_limit, 0, 0];
        self.write(parameters + 0x24, words);
        let back = [0x7ff, IDT as u16, (IDT >> 16) as u16];
        self.write(CODE + u32::from(FOUND) - 8, back);
        self.run(&Context::LEVEL_0, enter());
        self.read(CODE + u32::from(FOUND))
    }
}

/// The way from flat protected mode down.
fn enter() -> &'static [u8] {
    const { assert!(ENTER == 0 && FOUND - 0x40 == 0x5fc0 && Real::CODE == 0x1000) };
    const { assert!(CODE_16 == 0x380 && DATA_16 == 0x388 && CODE_PARAGRAPH == 0x4000) };
    snippet!(
        ".code32",
        // Segments as real mode has them, with limits of 64 KiB.
        "mov eax, 0x388",
        "mov ds, eax",
        "mov es, eax",
        "mov fs, eax",
        "mov gs, eax",
        "mov ss, eax",
        ".byte 0xea",
        ".long 2f - 771b",
        ".short 0x380",
        "2:",
        ".code16",
        "mov eax, cr0",
        // PE, MP, EM and TS go.
        "and al, 0xf0",
        "or eax, cs:[0x5fe0]",
        "mov cr0, eax",
        ".byte 0xea",
        ".short 3f - 771b, 0x4000",
        "3: lidt cs:[0x5fec]",
        "mov eax, cs:[0x5fc0]",
        "mov ebx, cs:[0x5fc4]",
        "mov ecx, cs:[0x5fc8]",
        "mov edx, cs:[0x5fcc]",
        "mov esi, cs:[0x5fd0]",
        "mov edi, cs:[0x5fd4]",
        "mov ebp, cs:[0x5fd8]",
        "mov fs, cs:[0x5fe6]",
        "mov gs, cs:[0x5fe6]",
        "mov es, cs:[0x5fe8]",
        "mov ds, cs:[0x5fe6]",
        "mov ss, cs:[0x5fe4]",
        "mov esp, cs:[0x5fdc]",
        // IRET takes the flags: the first instruction is the test's.
        "push word ptr cs:[0x5fea]",
        "push cs",
        "push 0x1000",
        ".byte 0xcf",
        ".code64",
    )
}

/// The way back from a handler, with the vector on the stack.
fn leave() -> &'static [u8] {
    const { assert!(FOUND == 0x6000 && HANDLER == 0x5000) };
    snippet!(
        ".code16",
        "mov cs:[0x6000], eax",
        "mov cs:[0x6004], ebx",
        "mov cs:[0x6008], ecx",
        "mov cs:[0x600c], edx",
        "mov cs:[0x6010], esi",
        "mov cs:[0x6014], edi",
        "mov cs:[0x6018], ebp",
        "mov cs:[0x6020], ds",
        "mov cs:[0x6022], es",
        "mov cs:[0x6024], fs",
        "mov cs:[0x6026], gs",
        "mov cs:[0x6028], ss",
        "pushf",
        "pop word ptr cs:[0x6032]",
        "pop word ptr cs:[0x602a]",
        "pop word ptr cs:[0x602c]",
        "pop word ptr cs:[0x602e]",
        "pop word ptr cs:[0x6030]",
        "mov cs:[0x601c], esp",
        "mov eax, cr0",
        "and eax, 0x7ffffff1",
        "or al, 1",
        "mov cr0, eax",
        ".byte 0x66, 0xea",
        ".long 2f - 771b + 0x45000",
        ".short 0x18",
        "2:",
        ".code32",
        "mov eax, 0x10",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "mov esp, 0x3a000",
        "lidt [0x45ff8]",
        "int 0x80",
        ".code64",
    )
}

//! One instruction on many operands, in each legacy mode: the loop around it runs in that mode, too, and
//! only its end leaves it.

use super::model::Operands;
use crate::legacy::{CODE, Context, DATA, FREE, Legacy, Real, kind, segment};
use crate::register::eflags::IOPL;
use crate::snippet;

/// The modes that execute the 80386's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Real-address mode.
    Real,
    /// Virtual-8086 mode with IOPL 3.
    Virtual8086,
    /// Protected mode, code of 16 bits.
    Protected16,
    /// Protected mode, code of 32 bits.
    Protected32,
    /// The same at privilege level 3.
    User32,
}

/// All of them.
pub const MODES: [Mode; 5] =
    [Mode::Real, Mode::Virtual8086, Mode::Protected16, Mode::Protected32, Mode::User32];

/// Operands that fit into one run: they and their results are in the lower half of the data.
pub const CAPACITY: usize = 800;

/// Offsets in the data: the number of operands, operands, results.
const COUNT: u32 = 0;
const OPERANDS: u32 = 0x10;
const RESULTS: u32 = 0x4000;
const CODE_16: u16 = FREE;
const DATA_SEGMENT: u16 = FREE + 8;
/// Bytes of operands, and of results.
const SIZE: usize = size_of::<Operands>();
/// Bytes for an instruction, and where they are in the loops.
const ROOM: usize = 0x10;
const PLACE: usize = 0x30;

impl Mode {
    /// The width of operands without a prefix.
    pub fn bits(self) -> u32 {
        match self {
            Self::Real | Self::Virtual8086 | Self::Protected16 => 16,
            Self::Protected32 | Self::User32 => 32,
        }
    }

    /// Executes `instruction`, whose operands have `bits`, on each of `operands`, which it replaces by the
    /// results.
    ///
    /// # Panics
    /// If it does not come to its end.
    pub fn execute(self, instruction: &[u8], bits: u32, operands: &mut [Operands]) {
        assert!(operands.len() <= CAPACITY && instruction.len() < ROOM, "a batch too large");
        let mut legacy = Legacy::new();
        legacy.describe(CODE_16, segment(CODE, 0xffff, kind::CODE, (false, false)));
        let data = segment(DATA, 0xffff, kind::DATA | kind::LEVEL_3, (true, false));
        legacy.describe(DATA_SEGMENT, data);
        legacy.write(DATA + COUNT, operands.len() as u32);
        for (place, operands) in (DATA + OPERANDS..).step_by(SIZE).zip(operands.iter()) {
            legacy.write(place, *operands);
        }
        let wide = self.bits() == 32;
        let mut code = [0x90; 0x80];
        let text = if wide { loop_32() } else { loop_16() };
        code[..text.len()].copy_from_slice(text);
        let prefix = usize::from(bits != 8 && bits != self.bits());
        code[PLACE] = 0x66;
        code[PLACE + prefix..][..instruction.len()].copy_from_slice(instruction);
        code[PLACE + prefix + instruction.len()..PLACE + ROOM].fill(0x90);
        let vector = match self {
            Self::Real => legacy.run_real(&Real::START, &code).vector.into(),
            _ => legacy.run(&self.context(), &code).vector,
        };
        assert!(vector == 0x80, "{instruction:02x?} ended in vector {vector:#x} in {self:?}");
        for (place, operands) in (DATA + RESULTS..).step_by(SIZE).zip(operands.iter_mut()) {
            *operands = legacy.read(place);
            operands.flags &= 0xffff;
        }
    }

    /// What the loop starts with where it is not real mode.
    fn context(self) -> Context {
        let start = Context { eip: 0, cs: CODE_16, ds: DATA_SEGMENT, ..Context::LEVEL_0 };
        match self {
            Self::Virtual8086 => Context {
                eflags: IOPL | Context::VIRTUAL_8086.eflags,
                ds: (DATA >> 4) as u16,
                ..Context::VIRTUAL_8086
            },
            Self::Protected32 => Context { eip: CODE, cs: Context::LEVEL_0.cs, ..start },
            Self::User32 => Context { ds: DATA_SEGMENT | 3, ..Context::LEVEL_3 },
            Self::Real | Self::Protected16 => start,
        }
    }
}

/// The loop, in code of a width; of what lies at [`PLACE`], the instruction takes the place.
macro_rules! loop_around {
    ($code:literal, $push:literal, $popf:literal, $pushf:literal, $pop:literal) => {
        snippet!(
            $code,
            "xor edi, edi",
            "mov ebp, [edi]",
            "lea esi, [edi + 0x10]",
            "add edi, 0x4000",
            "2: mov eax, [esi]",
            "mov ebx, [esi + 4]",
            "mov ecx, [esi + 8]",
            "mov edx, [esi + 12]",
            $push,
            $popf,
            ".skip 0x40 - (. - 771b), 0x90",
            $pushf,
            $pop,
            "mov [edi], eax",
            "mov [edi + 4], ebx",
            "mov [edi + 8], ecx",
            "mov [edi + 12], edx",
            "add esi, 20",
            "add edi, 20",
            "dec ebp",
            "jnz 2b",
            "int 0x80",
            ".code64",
        )
    };
}

fn loop_16() -> &'static [u8] {
    const { assert!(COUNT == 0 && OPERANDS == 0x10 && RESULTS == 0x4000 && PLACE == 0x30) };
    loop_around!(".code16", "push word ptr [esi + 16]", "popf", "pushf", "pop word ptr [edi + 16]")
}

fn loop_32() -> &'static [u8] {
    loop_around!(
        ".code32",
        "push dword ptr [esi + 16]",
        "popfd",
        "pushfd",
        "pop dword ptr [edi + 16]"
    )
}

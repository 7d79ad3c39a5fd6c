//! One question to a processor, and its answer. Both are plain data of a fixed layout, because they
//! travel through memory that two processes share.

use super::layout::{Mode, WRITABLE};

/// Most bytes of an instruction that are put in place: one more than is allowed.
pub const MOST_CODE: usize = 16;
/// Most bytes of a sequence of instructions.
pub const CODE_ROOM: usize = 512;
/// Bytes at the operand that differ from case to case.
pub const POKE: usize = 64;

/// The registers that an instruction of privilege level 3 can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    /// In the order of their numbers.
    pub gpr: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    /// YMM0 to YMM15, low half first.
    pub ymm: [[u128; 2]; 16],
    pub mxcsr: u32,
    pub x87: X87,
}

/// The x87 registers as FXSAVE stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct X87 {
    pub control: u16,
    pub status: u16,
    /// Abridged: a set bit is a register that is not empty.
    pub tags: u8,
    /// ST0 to ST7, 80 bits each.
    pub st: [u128; 8],
}

impl X87 {
    /// As FNINIT leaves it.
    pub const INITIAL: Self = Self { control: 0x37f, status: 0, tags: 0, st: [0; 8] };

    /// The control word, the status word without TOP, and the registers by their own numbers: what is
    /// left whatever has become the top of the stack, and whatever is tagged.
    pub fn registers(&self) -> (u16, u16, [u128; 8]) {
        let top = usize::from(self.status >> 11 & 7);
        let mut registers = self.st;
        registers.rotate_right(top);
        (self.control, self.status & !(7 << 11), registers)
    }
}

/// An instruction, or a sequence of them, and the state that it starts from.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Case {
    pub mode: Mode,
    /// Bytes of `code` that are put in place.
    pub length: u32,
    pub code: [u8; CODE_ROOM],
    /// RIP is where the code's end touches the end of its page.
    pub state: State,
    /// Offset in the arena of the bytes that differ from the batch's image.
    pub poke_at: u32,
    pub poke: [u8; POKE],
}

impl Case {
    pub fn code(&self) -> &[u8] {
        &self.code[..self.length as usize]
    }

    /// Where the instruction begins.
    pub fn start(&self) -> u64 {
        self.state.rip
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outcome {
    pub raised: Raised,
    pub state: State,
    /// The arena's writable pages.
    pub memory: [u8; WRITABLE as usize],
}

/// An exception, or [`Raised::NOTHING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Raised {
    pub vector: u32,
    pub error_code: u32,
    /// CR2 of a page fault.
    pub address: u64,
}

impl Raised {
    /// The instruction completed.
    pub const NOTHING: Self = Self { vector: u32::MAX, error_code: 0, address: 0 };
    /// It asked something of the machine around the processor.
    pub const EXIT: Self = Self { vector: u32::MAX - 1, error_code: 0, address: 0 };
}

impl Outcome {
    /// None yet.
    pub const NONE: Self = Self {
        raised: Raised::NOTHING,
        state: State {
            gpr: [0; 16],
            rip: 0,
            rflags: 0,
            ymm: [[0; 2]; 16],
            mxcsr: 0,
            x87: X87::INITIAL,
        },
        memory: [0; WRITABLE as usize],
    };

    /// A fault of the next instruction's fetch, or a breakpoint where a branch has led, say that what was
    /// asked is complete.
    pub fn settle(&mut self, case: &Case) {
        let (start, end) = (case.start(), case.start() + u64::from(case.length));
        let Self { raised, state, .. } = self;
        // Not the INT3 that is the instruction.
        let landed = raised.vector == BREAKPOINT && state.rip != end;
        let fetch = raised.vector == PAGE_FAULT && raised.error_code & FETCH != 0;
        if landed {
            state.rip -= 1;
        }
        if landed || fetch && state.rip != start {
            *raised = Raised::NOTHING;
            state.rflags &= !RESUME_FLAG;
        }
    }
}

/// RF, which a fault's image of the flags has.
const RESUME_FLAG: u64 = 1 << 16;
/// The exception of INT3, whose RIP is behind it.
pub const BREAKPOINT: u32 = 3;
pub const PAGE_FAULT: u32 = 14;
/// Page-fault error code: an instruction fetch.
pub const FETCH: u32 = 0x10;

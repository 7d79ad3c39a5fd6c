//! The frame of a signal, in which Linux shows a program's registers and takes them back.

use std::ptr;

use super::super::case::{Case, FETCH, Outcome, PAGE_FAULT, Raised, State, X87};
use super::super::layout::Mode;
use monovisor_core::state::SegmentRegister;

/// Where the general registers are in `gregs`, in the order of their numbers.
const GPR: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// `uc_flags`: SS is restored as it is in the frame.
const STRICT_RESTORE_SS: u64 = 4;
/// RF, which a fault's image of the flags has.
const RESUME_FLAG: u64 = 1 << 16;
/// The exception of INT3, whose RIP is behind it.
const BREAKPOINT: u32 = 3;

// Offsets in the XSAVE image in standard form.
const CONTROL: usize = 0;
const STATUS: usize = 2;
const TAGS: usize = 4;
const LAST_OPCODE_AND_POINTERS: usize = 6;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;
/// Where Linux says which components the image has.
const COMPONENTS: usize = 472;
const MAGIC: usize = 464;
const MAGIC_EXTENDED: u32 = 0x4650_5853;
const HEADER: usize = 512;

/// The components x87, SSE and AVX.
const X87_SSE: u64 = 3;
const AVX: u64 = 4;

/// A signal's frame.
pub struct Frame {
    context: *mut libc::ucontext_t,
    /// Where the upper halves of the YMM registers are, if there are any.
    ymm_offset: Option<usize>,
}

impl Frame {
    /// # Safety
    /// `context` is what Linux has handed to the handler that runs, and `ymm_offset` what CPUID leaf
    /// 0xd says.
    pub unsafe fn new(context: *mut libc::c_void, ymm_offset: usize) -> Self {
        let mut frame = Self { context: context.cast(), ymm_offset: None };
        // SAFETY: the image has at least the legacy region, and what Linux says in it is true.
        unsafe {
            let extended = frame.get::<u32>(MAGIC) == MAGIC_EXTENDED;
            if extended && frame.get::<u64>(COMPONENTS) & AVX != 0 {
                frame.ymm_offset = Some(ymm_offset);
            }
        }
        frame
    }

    unsafe fn image(&self) -> *mut u8 {
        // SAFETY: the frame is alive, as `new` was promised.
        unsafe { (*self.context).uc_mcontext.fpregs.cast() }
    }

    unsafe fn get<T>(&self, offset: usize) -> T {
        // SAFETY: callers name offsets of plain words within the image.
        unsafe { ptr::read_unaligned(self.image().add(offset).cast()) }
    }

    unsafe fn put<T>(&mut self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { ptr::write_unaligned(self.image().add(offset).cast(), value) }
    }

    /// What the processor goes on with when the handler returns.
    ///
    /// # Safety
    /// The handler still runs.
    pub unsafe fn write(&mut self, mode: Mode, state: &State) {
        // SAFETY: the frame is alive; the offsets are those of the image's format.
        unsafe {
            let context = &mut *self.context;
            context.uc_flags |= STRICT_RESTORE_SS;
            let words = &mut context.uc_mcontext.gregs;
            for (index, value) in GPR.iter().zip(state.gpr) {
                words[*index as usize] = value as i64;
            }
            words[libc::REG_RIP as usize] = state.rip as i64;
            words[libc::REG_EFL as usize] = state.rflags as i64;
            let cs = u64::from(mode.segment(SegmentRegister::Cs).selector);
            let ss = u64::from(mode.segment(SegmentRegister::Ss).selector);
            words[libc::REG_CSGSFS as usize] = (cs | ss << 48) as i64;
            let X87 { control, status, tags, st } = state.x87;
            self.put(CONTROL, control);
            self.put(STATUS, status);
            self.put(TAGS, u16::from(tags));
            self.put(LAST_OPCODE_AND_POINTERS, [0_u8; 18]);
            self.put(MXCSR, state.mxcsr);
            self.put(ST, st);
            for (number, [low, high]) in state.ymm.into_iter().enumerate() {
                self.put(XMM + number * 16, low);
                if let Some(offset) = self.ymm_offset {
                    self.put(offset + number * 16, high);
                }
            }
            if self.ymm_offset.is_some() {
                let components: u64 = self.get(HEADER);
                self.put(HEADER, components | X87_SSE | AVX);
            }
        }
    }

    /// What the instruction of `case` has left, but memory.
    ///
    /// # Safety
    /// The handler still runs.
    pub unsafe fn read(&self, case: &Case, outcome: &mut Outcome) {
        // SAFETY: the frame is alive; the offsets are those of the image's format.
        unsafe {
            let words = &(*self.context).uc_mcontext.gregs;
            let word = |index: i32| words[index as usize] as u64;
            let state = &mut outcome.state;
            for (value, index) in state.gpr.iter_mut().zip(GPR) {
                *value = word(index);
            }
            state.rip = word(libc::REG_RIP);
            state.rflags = word(libc::REG_EFL);
            state.mxcsr = self.get(MXCSR);
            state.x87 = X87 {
                control: self.get(CONTROL),
                status: self.get(STATUS),
                tags: self.get(TAGS),
                st: self.get(ST),
            };
            let upper = self.ymm_offset.filter(|_| self.get::<u64>(HEADER) & AVX != 0);
            for (number, value) in state.ymm.iter_mut().enumerate() {
                let high = upper.map_or(0, |offset| self.get(offset + number * 16));
                *value = [self.get(XMM + number * 16), high];
            }
            let vector = word(libc::REG_TRAPNO) as u32;
            let address = if vector == PAGE_FAULT { word(libc::REG_CR2) } else { 0 };
            outcome.raised = Raised { vector, error_code: word(libc::REG_ERR) as u32, address };
        }
        let case_end = case.start() + u64::from(case.length);
        settle(case.start(), case_end, outcome);
    }
}

/// A fault of the next instruction's fetch, or a breakpoint where a branch has led, say that the
/// instruction itself is complete.
fn settle(start: u64, end: u64, outcome: &mut Outcome) {
    let Outcome { raised, state, .. } = outcome;
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

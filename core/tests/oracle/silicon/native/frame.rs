//! The frame of a signal, in which Linux shows a program's registers and takes them back.

use std::ptr;

use super::xsave::{AVX, Area};
use crate::case::{Case, Outcome, PAGE_FAULT, Raised, State};
use crate::layout::Mode;
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
/// Where Linux says which components the image has.
const COMPONENTS: usize = 472;
const MAGIC: usize = 464;
const MAGIC_EXTENDED: u32 = 0x4650_5853;

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

    unsafe fn area(&self) -> Area {
        // SAFETY: the frame is alive, and only the handler touches it; Linux's image is in standard
        // form.
        unsafe { Area::new(self.image(), self.ymm_offset) }
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
            self.area().write(state);
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
            self.area().read(state);
            let vector = word(libc::REG_TRAPNO) as u32;
            let address = if vector == PAGE_FAULT { word(libc::REG_CR2) } else { 0 };
            outcome.raised = Raised { vector, error_code: word(libc::REG_ERR) as u32, address };
        }
        outcome.settle(case);
    }
}

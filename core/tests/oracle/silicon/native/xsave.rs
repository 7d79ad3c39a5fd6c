//! The x87, SSE and AVX registers as XSAVE stores them in standard form: where Linux shows those of a
//! program, and KVM those of a guest.

use std::ptr;

use crate::case::{State, X87};

// Offsets in the legacy region, and the header's list of components.
const CONTROL: usize = 0;
const STATUS: usize = 2;
const TAGS: usize = 4;
const LAST_OPCODE_AND_POINTERS: usize = 6;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;
pub const HEADER: usize = 512;

/// The components x87, SSE and AVX.
pub const X87_SSE: u64 = 3;
pub const AVX: u64 = 4;

/// An image of the registers.
pub struct Area {
    at: *mut u8,
    /// Where the upper halves of the YMM registers are, if there are any.
    ymm_offset: Option<usize>,
}

impl Area {
    /// # Safety
    /// `at` leads to an image in standard form, with the upper halves where `ymm_offset` says, which
    /// nobody else touches while this value is used.
    pub unsafe fn new(at: *mut u8, ymm_offset: Option<usize>) -> Self {
        Self { at, ymm_offset }
    }

    fn get<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: callers name offsets of plain words within the image, which `new` was promised.
        unsafe { ptr::read_unaligned(self.at.add(offset).cast()) }
    }

    fn put<T>(&mut self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { ptr::write_unaligned(self.at.add(offset).cast(), value) }
    }

    /// Stores the registers of `state`.
    pub fn write(&mut self, state: &State) {
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
        // Linux's image of a processor without AVX may have no header.
        if self.ymm_offset.is_some() {
            let components: u64 = self.get(HEADER);
            self.put(HEADER, components | X87_SSE | AVX);
        }
    }

    /// Loads them into `state`; upper halves that there are none of stay.
    pub fn read(&self, state: &mut State) {
        state.mxcsr = self.get(MXCSR);
        state.x87 = X87 {
            control: self.get(CONTROL),
            status: self.get(STATUS),
            tags: self.get(TAGS),
            st: self.get(ST),
        };
        for (number, [low, high]) in state.ymm.iter_mut().enumerate() {
            *low = self.get(XMM + number * 16);
            if let Some(offset) = self.ymm_offset {
                let initial = self.get::<u64>(HEADER) & AVX == 0;
                *high = if initial { 0 } else { self.get(offset + number * 16) };
            }
        }
    }
}

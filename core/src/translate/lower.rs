//! Guest bytes to ops: decodes a run of instructions, then has each emitted by its row.

use alloc::boxed::Box;
use core::ptr::NonNull;

use iced_x86::{Code, Decoder, DecoderError, FlowControl, Instruction, Register};

use super::block::Key;
use super::cache::{Cache, Extent, Found};
use super::length::{DECODER, LONGEST, is_too_long};
use crate::CpuState;
use crate::execute::emit::{Emit, MOST_INSTRUCTIONS, MOST_SLOTS, Mode};
use crate::execute::fused::{Ahead, emit_group, is_encodable};
use crate::execute::table::emit_function;
use crate::execute::{self};
use crate::memory::Width;
use crate::paging::{AccessError, FetchPage, Mmu};
use crate::state::Exception;

/// Bytes that are decoded for one block.
const WINDOW: usize = 256;

/// Makes blocks. Its storage is taken once.
pub(crate) struct Lowering {
    emit: Box<Emit>,
    instructions: Box<[Instruction; MOST_INSTRUCTIONS]>,
    window: [u8; WINDOW + LONGEST + 1],
}

/// How the instructions of a block end.
enum End {
    /// With a control transfer, or because the block is full.
    Ordinary,
    /// Before bytes that are no instruction.
    Undefined,
    /// Before an instruction of more than 15 bytes.
    TooLong,
}

impl Lowering {
    pub fn new() -> Self {
        Self {
            emit: Box::new(Emit::new()),
            instructions: Box::new([Instruction::default(); MOST_INSTRUCTIONS]),
            window: [0; WINDOW + LONGEST + 1],
        }
    }

    /// From now on does without what the host's vector unit has beyond SSE2.
    pub fn use_portable_vectors(&mut self) {
        self.emit.portable_vectors = true;
    }

    /// Translates the block with this key and puts it into the cache. `page` is where its first
    /// byte is.
    ///
    /// # Errors
    /// What the fetch of a second page raises, if the first instruction needs one.
    pub fn translate(
        &mut self,
        key: Key,
        page: FetchPage,
        state: &CpuState,
        mmu: &mut Mmu,
        cache: &mut Cache,
    ) -> Result<Found, AccessError> {
        // Before anything is read: a flush would end the watch over it.
        if !cache.has_room(MOST_SLOTS, mmu) {
            cache.flush(mmu);
        }
        self.lower(key, page, state, mmu, cache)
            .inspect_err(|_| mmu.end_watch(key.physical & !0xfff))
    }

    fn lower(
        &mut self,
        key: Key,
        page: FetchPage,
        state: &CpuState,
        mmu: &mut Mmu,
        cache: &mut Cache,
    ) -> Result<Found, AccessError> {
        let offset = (key.physical & 0xfff) as usize;
        let in_page = WINDOW.min(0x1000 - offset);
        let in_segment = key.bytes_to_limit();
        mmu.begin_watch(key.physical, in_page);
        self.read(0, page.bytes, offset, in_page);
        let (mut count, mut end) = self.decode(&key, in_page.min(in_segment));
        let mut second_page = None;
        if count == 0 && matches!(end, End::Ordinary) {
            if in_segment <= in_page {
                return Err(AccessError::Exception(Exception::GP0));
            }
            // The first instruction goes on in the next page.
            let second = mmu.fetch(state, key.next_page())?;
            mmu.begin_watch(second.physical & !0xfff, LONGEST);
            self.read(in_page, second.bytes, 0, LONGEST);
            second_page = Some(second.physical & !0xfff);
            let length = (in_page + LONGEST).min(in_segment);
            (count, end) = self.decode(&Key { mode: single(key.mode), ..key }, length);
            if count == 0 && matches!(end, End::Ordinary) {
                mmu.end_watch(second.physical & !0xfff);
                return Err(AccessError::Exception(Exception::GP0));
            }
        }
        let bytes = self.emit_block(&key, count, end);
        let extent = Extent { second_page, bytes };
        Ok(cache.insert(key, &extent, self.emit.finish(), mmu))
    }

    /// Copies guest bytes into the window; what is no RAM reads as all ones.
    fn read(&mut self, at: usize, bytes: Option<NonNull<u8>>, offset: usize, length: usize) {
        let window = &mut self.window[at..at + length];
        let Some(page) = bytes else {
            window.fill(0xff);
            return;
        };
        let (words, rest) = window.as_chunks_mut::<8>();
        let words_length = words.len() * 8;
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: the page is mapped RAM, and `offset + length` lies within it.
            *word = unsafe { u64::load(page.as_ptr().add(offset + index * 8)) }.to_le_bytes();
        }
        for (index, byte) in rest.iter_mut().enumerate() {
            // SAFETY: as above.
            *byte = unsafe { u8::load(page.as_ptr().add(offset + words_length + index)) };
        }
    }

    /// Decodes up to a control transfer. With no instruction and an ordinary end, the first one is
    /// cut off by the end of the window.
    fn decode(&mut self, key: &Key, length: usize) -> (usize, End) {
        let bitness = u32::from(key.mode.bitness);
        let window = &self.window[..length];
        let mut decoder = Decoder::with_ip(bitness, window, key.rip, DECODER);
        let most = if key.mode.step { 1 } else { MOST_INSTRUCTIONS };
        for count in 0..most {
            if !decoder.can_decode() {
                return (count, End::Ordinary);
            }
            let instruction = &mut self.instructions[count];
            decoder.decode_out(instruction);
            match decoder.last_error() {
                DecoderError::None => {
                    let end = (instruction.next_ip().wrapping_sub(key.rip) & 0xffff_ffff) as usize;
                    amend(instruction, bitness, &window[..end]);
                }
                // Never with the bytes of a longest instruction at hand.
                DecoderError::NoMoreBytes => return (count, End::Ordinary),
                _ if instruction.len() == LONGEST => {
                    let bytes = window[..decoder.position()].last_chunk();
                    let too_long = bytes.is_none_or(|bytes| is_too_long(bitness, bytes));
                    return (count, if too_long { End::TooLong } else { End::Undefined });
                }
                _ => return (count, End::Undefined),
            }
            if instruction.flow_control() != FlowControl::Next {
                return (count + 1, End::Ordinary);
            }
        }
        (most, End::Ordinary)
    }

    /// Emits the first `count` instructions; the bytes that the block takes.
    fn emit_block(&mut self, key: &Key, count: usize, end: End) -> u32 {
        let emit = &mut *self.emit;
        emit.begin(key.rip, key.cs_base, key.cs_limit, key.mode);
        let instructions = &self.instructions[..count];
        while !emit.ended
            && let Some(instruction) = instructions.get(usize::from(emit.count()))
        {
            emit.instruction = *instruction;
            let offset = emit.instruction.ip().wrapping_sub(key.rip) as u16;
            let code = &self.window[usize::from(offset)..][..emit.instruction.len()];
            emit.bytes[..code.len()].copy_from_slice(code);
            let ahead = Ahead::new(&instructions[usize::from(emit.count())..], key.mode);
            if emit_group(emit, ahead).is_none() {
                emit.flags_dead = ahead.flags_are_dead_behind(0);
                let row = emit_function(emit.instruction.mnemonic());
                let exists = is_encodable(&emit.instruction, key.mode);
                if row.filter(|_| exists).and_then(|row| row(emit)).is_none() {
                    emit.call_out_last(execute::undefined);
                }
            }
            emit.retire();
        }
        let Some(last) = usize::from(emit.count()).checked_sub(1) else {
            emit.instruction = Instruction::default();
            emit.instruction.set_ip(key.rip);
            emit.instruction.set_next_ip(key.rip.wrapping_add(1));
            emit.instruction.set_len(1);
            emit.call_out_last(match end {
                End::TooLong => execute::too_long,
                _ => execute::undefined,
            });
            // Any of the bytes that an instruction may have can make it another.
            return LONGEST as u32;
        };
        let last = &instructions[last];
        if !emit.ended {
            emit.fall_through();
        }
        bytes(key, last)
    }
}

/// What 64-bit mode does otherwise than the decoder tells. `bytes` ends with the instruction.
fn amend(instruction: &mut Instruction, bitness: u32, bytes: &[u8]) {
    if bitness != 64 {
        return;
    }
    // SDM, "Segmentation in 64-Bit Mode": these overrides are ignored, also for the choice between
    // #GP and #SS.
    if let Register::ES | Register::CS | Register::SS | Register::DS = instruction.segment_prefix()
    {
        instruction.set_segment_prefix(Register::None);
    }
    // With REX.B the opcode of PAUSE is that of XCHG with R8, and its prefix means nothing.
    if instruction.code() == Code::Pause
        && let [.., rex @ 0x40..=0x4f, _] = *bytes
        && rex & 1 != 0
    {
        let prefixes = &bytes[bytes.len() - instruction.len()..];
        let (code, registers) = match (rex & 8, prefixes.contains(&0x66)) {
            (8, _) => (Code::Xchg_r64_RAX, [Register::R8, Register::RAX]),
            (_, true) => (Code::Xchg_r16_AX, [Register::R8W, Register::AX]),
            _ => (Code::Xchg_r32_EAX, [Register::R8D, Register::EAX]),
        };
        instruction.set_code(code);
        instruction.set_op0_register(registers[0]);
        instruction.set_op1_register(registers[1]);
    }
}

/// Bytes of a block that ends with `last`.
fn bytes(key: &Key, last: &Instruction) -> u32 {
    (last.next_ip().wrapping_sub(key.rip) as u32) & 0xffff
}

fn single(mode: Mode) -> Mode {
    Mode { step: true, ..mode }
}

//! Saving and restoring the x87 and SSE state as a whole: FXSAVE, FXRSTOR and their 64-bit forms, and
//! the image in memory that the XSAVE family shares with them. What x87 instructions save by themselves
//! is in `x87`.
//!
//! The state is written piece by piece after a probe of its whole area, and read as a whole before
//! any of it changes.

use core::ptr::NonNull;

use iced_x86::Mnemonic;

use super::op::Detail;
use super::sse::host_float::WRITABLE;
use super::table::Row;
use super::{Cpu, Leave, x87};
use crate::memory::run;
use crate::paging::AccessKind;
use crate::state::{Exception, Fpu, SegmentRegister};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Fxsave, |e| {
        e.call_out(|cpu, detail| fxsave(cpu, detail, false));
        Some(())
    }),
    (Mnemonic::Fxsave64, |e| {
        e.call_out(|cpu, detail| fxsave(cpu, detail, true));
        Some(())
    }),
    (Mnemonic::Fxrstor, |e| {
        e.call_out_last(|cpu, detail| fxrstor(cpu, detail, false));
        Some(())
    }),
    (Mnemonic::Fxrstor64, |e| {
        e.call_out_last(|cpu, detail| fxrstor(cpu, detail, true));
        Some(())
    }),
];

/// Offsets in the legacy region (SDM, "Layout of the 64-bit Mode FXSAVE Map").
pub(super) const MXCSR: usize = 24;
pub(super) const ST: usize = 32;
/// The bits of a register in its sixteen bytes.
const ST_BITS: u128 = (1 << 80) - 1;
pub(super) const XMM: usize = 160;
/// Where the part begins that FXSAVE leaves as it is.
pub(super) const LEGACY_USED: usize = 416;
/// Where the XSAVE header begins.
pub(super) const HEADER: usize = 512;

/// How many vector registers there are in the current mode.
pub(super) fn vector_registers(cpu: &Cpu) -> usize {
    if cpu.state.mode_64bit() { 16 } else { 8 }
}

/// The segment and linear address of the area.
pub(super) fn area(
    cpu: &Cpu,
    detail: &Detail,
    size: usize,
    alignment: u64,
    write: bool,
) -> Result<(SegmentRegister, u64), Leave> {
    let linear = cpu.linear(detail, size as u64, write)?;
    match linear.is_multiple_of(alignment) {
        true => Ok((super::segment_register(detail.segment), linear)),
        false => Err(Exception::GP0.into()),
    }
}

/// The area of FXSAVE and FXRSTOR, which is there. Which exception an address raises that is no multiple of four, where
/// alignment is checked, SDM, FXSAVE, leaves to the processor: it is #AC.
fn fxsave_area(
    cpu: &mut Cpu,
    detail: &Detail,
    write: bool,
) -> Result<(SegmentRegister, u64), Leave> {
    let segment = super::segment_register(detail.segment);
    let linear = cpu.linear(detail, HEADER as u64, write)?;
    let kind = if write { AccessKind::Write } else { AccessKind::Read };
    let aligned = cpu.mmu.check_alignment(&cpu.state, linear, 4, kind);
    aligned.map_err(|error| Leave::access(error, segment))?;
    area(cpu, detail, HEADER, 16, write)?;
    // Two pages at most.
    look_for(cpu, segment, linear, [HEADER - 1, 0], kind)?;
    Ok((segment, linear))
}

/// Looks for bytes of an area one after the other, so that the first that is not there is the fault's
/// address. No manual has an order; it is that of AMD's processors.
pub(super) fn look_for(
    cpu: &mut Cpu,
    segment: SegmentRegister,
    linear: u64,
    bytes: [usize; 2],
    kind: AccessKind,
) -> Result<(), Leave> {
    for at in bytes {
        let linear = cpu.following(linear, at as u64);
        match kind {
            AccessKind::Write => cpu.probe_write(segment, linear, 1)?,
            _ => cpu.probe_read(segment, linear, 1)?,
        }
    }
    Ok(())
}

/// Where `length` bytes at `linear` are RAM in one page.
fn host_run(
    cpu: &mut Cpu,
    segment: SegmentRegister,
    linear: u64,
    length: usize,
    kind: AccessKind,
) -> Result<Option<NonNull<u8>>, Leave> {
    let length = length as u64;
    let run = cpu.mmu.run(&cpu.state, linear, kind, length);
    let run = run.map_err(|error| Leave::access(error, segment))?;
    Ok(run.filter(|run| run.length == length).map(|run| run.pointer))
}

/// Writes `bytes`, a multiple of 8, at `linear`.
pub(super) fn write_bytes(
    cpu: &mut Cpu,
    segment: SegmentRegister,
    linear: u64,
    bytes: &[u8],
) -> Result<(), Leave> {
    let (words, _) = bytes.as_chunks::<8>();
    if let Some(target) = host_run(cpu, segment, linear, bytes.len(), AccessKind::Write)? {
        // SAFETY: the run is writable RAM of as many bytes.
        unsafe { run::copy::<u64>(bytes.as_ptr(), target.as_ptr(), words.len()) };
        return Ok(());
    }
    for (index, word) in words.iter().enumerate() {
        let linear = cpu.following(linear, 8 * index as u64);
        cpu.store(segment, linear, u64::from_le_bytes(*word))?;
    }
    Ok(())
}

pub(super) fn read_bytes(
    cpu: &mut Cpu,
    segment: SegmentRegister,
    linear: u64,
    bytes: &mut [u8],
) -> Result<(), Leave> {
    let source = host_run(cpu, segment, linear, bytes.len(), AccessKind::Read)?;
    let (words, _) = bytes.as_chunks_mut::<8>();
    if let Some(source) = source {
        // SAFETY: the run is RAM of as many bytes.
        unsafe { run::copy::<u64>(source.as_ptr(), words.as_mut_ptr().cast(), words.len()) };
        return Ok(());
    }
    for (index, word) in words.iter_mut().enumerate() {
        let linear = cpu.following(linear, 8 * index as u64);
        *word = cpu.load::<u64>(segment, linear)?.to_le_bytes();
    }
    Ok(())
}

pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The first 24 bytes of the legacy region. `wide` pointers have 64 bits; narrow ones have 32, and
/// selectors, which are not kept, behind them.
pub(super) fn x87_header(fpu: &Fpu, wide: bool) -> [u8; MXCSR] {
    let pointer = |pointer: u64| if wide { pointer } else { pointer & 0xffff_ffff };
    let mut bytes = [0; MXCSR];
    bytes[0..2].copy_from_slice(&fpu.control_word.to_le_bytes());
    bytes[2..4].copy_from_slice(&fpu.status_word.to_le_bytes());
    bytes[4] = fpu.tag_word;
    bytes[6..8].copy_from_slice(&fpu.opcode.to_le_bytes());
    bytes[8..16].copy_from_slice(&pointer(fpu.instruction_pointer).to_le_bytes());
    bytes[16..24].copy_from_slice(&pointer(fpu.data_pointer).to_le_bytes());
    bytes
}

pub(super) fn restore_x87(fpu: &mut Fpu, image: &[u8], wide: bool) {
    let pointer = |pointer: u64| if wide { pointer } else { pointer & 0xffff_ffff };
    let head = word(image, 0);
    fpu.status_word = (head >> 16) as u16;
    fpu.tag_word = (head >> 32) as u8;
    fpu.opcode = (head >> 48) as u16 & 0x7ff;
    fpu.instruction_pointer = pointer(word(image, 8));
    fpu.data_pointer = pointer(word(image, 16));
    for (register, bytes) in fpu.st.iter_mut().zip(image[ST..XMM].as_chunks().0) {
        *register = u128::from_le_bytes(*bytes) & ST_BITS;
    }
    x87::set_control_word(fpu, head as u16);
}

pub(super) fn restore_xmm(cpu: &mut Cpu, image: &[u8]) {
    let count = vector_registers(cpu);
    restore_halves(&mut cpu.state.fpu.xmm[..count], &image[XMM..LEGACY_USED]);
}

/// Loads halves of vector registers.
pub(super) fn restore_halves(registers: &mut [u128], image: &[u8]) {
    for (register, bytes) in registers.iter_mut().zip(image.as_chunks().0) {
        *register = u128::from_le_bytes(*bytes);
    }
}

/// MXCSR in an image.
///
/// # Errors
/// #GP(0) for reserved bits.
pub(super) fn image_mxcsr(image: &[u8]) -> Result<u32, Leave> {
    match word(image, MXCSR) as u32 {
        mxcsr if mxcsr & !WRITABLE == 0 => Ok(mxcsr),
        _ => Err(Exception::GP0.into()),
    }
}

/// The registers ST0 to ST7 in the image.
pub(super) fn st_bytes(fpu: &Fpu) -> [u8; 128] {
    let mut bytes = [0; 128];
    for (place, register) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(fpu.st) {
        *place = (register & ST_BITS).to_le_bytes();
    }
    bytes
}

/// Halves of vector registers in the image.
pub(super) fn halves_bytes(registers: &[u128; 16]) -> [u8; 256] {
    let mut bytes = [0; 256];
    for (place, register) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(registers) {
        *place = register.to_le_bytes();
    }
    bytes
}

/// MXCSR and the mask of its bits that exist.
pub(super) fn mxcsr_bytes(cpu: &Cpu) -> [u8; 8] {
    (u64::from(cpu.mxcsr()) | u64::from(WRITABLE) << 32).to_le_bytes()
}

fn fxsave(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    x87::require(cpu)?;
    let (segment, linear) = fxsave_area(cpu, detail, true)?;
    let fpu = &cpu.state.fpu;
    let mut image = [0; LEGACY_USED];
    image[..MXCSR].copy_from_slice(&x87_header(fpu, wide));
    image[MXCSR..ST].copy_from_slice(&mxcsr_bytes(cpu));
    image[ST..XMM].copy_from_slice(&st_bytes(fpu));
    image[XMM..].copy_from_slice(&halves_bytes(&fpu.xmm));
    let used = XMM + 16 * vector_registers(cpu);
    write_bytes(cpu, segment, linear, &image[..used])
}

fn fxrstor(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    x87::require(cpu)?;
    let (segment, linear) = fxsave_area(cpu, detail, false)?;
    let mut image = [0; HEADER];
    read_bytes(cpu, segment, linear, &mut image)?;
    let mxcsr = image_mxcsr(&image)?;
    restore_x87(&mut cpu.state.fpu, &image, wide);
    restore_xmm(cpu, &image);
    cpu.set_mxcsr(mxcsr);
    Ok(())
}

/// The x87 state of the initial configuration, registers included; FNINIT keeps those.
pub(super) fn initialize_x87(fpu: &mut Fpu) {
    x87::initialize(fpu);
    fpu.st = [0; 8];
}

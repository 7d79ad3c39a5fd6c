//! Saving, restoring and initialising the x87 and SSE state as a whole: FXSAVE, FXRSTOR, XSAVE,
//! XRSTOR and their 64-bit forms, XGETBV, XSETBV. What x87 instructions save by themselves is in
//! `x87`.
//!
//! The state is written piece by piece after a probe of its whole area, and read as a whole before
//! any of it changes.

use core::ptr::NonNull;

use iced_x86::Mnemonic;

use super::control_register::write_xcr;
use super::op::Detail;
use super::sse::host_float::WRITABLE;
use super::table::Row;
use super::{Cpu, Leave, x87};
use crate::memory::run;
use crate::paging::AccessKind;
use crate::state::{Cr0Flags, Cr4Flags, Exception, Fpu, Register, SegmentRegister};

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
    (Mnemonic::Xsave, |e| {
        e.call_out(|cpu, detail| xsave(cpu, detail, false));
        Some(())
    }),
    (Mnemonic::Xsave64, |e| {
        e.call_out(|cpu, detail| xsave(cpu, detail, true));
        Some(())
    }),
    (Mnemonic::Xrstor, |e| {
        e.call_out_last(|cpu, detail| xrstor(cpu, detail, false));
        Some(())
    }),
    (Mnemonic::Xrstor64, |e| {
        e.call_out_last(|cpu, detail| xrstor(cpu, detail, true));
        Some(())
    }),
    (Mnemonic::Xgetbv, |e| {
        e.call_out(xgetbv);
        Some(())
    }),
    (Mnemonic::Xsetbv, |e| {
        e.call_out_last(xsetbv);
        Some(())
    }),
];

/// State component 0 of XCR0 and XSTATE_BV.
const X87: u64 = 1;
/// State component 1.
const SSE: u64 = 2;

/// Offsets in the legacy region (SDM, "Layout of the 64-bit Mode FXSAVE Map").
const MXCSR: usize = 24;
const ST: usize = 32;
/// The bits of a register in its sixteen bytes.
const ST_BITS: u128 = (1 << 80) - 1;
const XMM: usize = 160;
/// Where the part begins that FXSAVE leaves as it is.
const LEGACY_USED: usize = 416;
/// Where the XSAVE header begins.
const HEADER: usize = 512;
const XSAVE_AREA: usize = HEADER + 64;

/// #UD unless the system manages extended states, #NM while it keeps them from use.
fn require_xsave(cpu: &Cpu) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    match cpu.state.control.cr0.contains(Cr0Flags::TASK_SWITCHED) {
        true => Err(Exception::NM.into()),
        false => Ok(()),
    }
}

fn require_osxsave(cpu: &Cpu) -> Result<(), Leave> {
    match cpu.state.control.cr4.contains(Cr4Flags::OSXSAVE) {
        true => Ok(()),
        false => Err(Exception::UD.into()),
    }
}

/// How many XMM registers there are in the current mode.
fn xmm_registers(cpu: &Cpu) -> usize {
    if cpu.state.mode_64bit() { 16 } else { 8 }
}

/// The segment and linear address of the area.
fn area(
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
fn write_bytes(
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
        cpu.store(segment, linear + 8 * index as u64, u64::from_le_bytes(*word))?;
    }
    Ok(())
}

fn read_bytes(
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
        *word = cpu.load::<u64>(segment, linear + 8 * index as u64)?.to_le_bytes();
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The first 24 bytes of the legacy region. `wide` pointers have 64 bits; narrow ones have 32, and
/// selectors, which are not kept, behind them.
fn x87_header(fpu: &Fpu, wide: bool) -> [u8; MXCSR] {
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

fn restore_x87(fpu: &mut Fpu, image: &[u8], wide: bool) {
    let pointer = |pointer: u64| if wide { pointer } else { pointer & 0xffff_ffff };
    let head = word(image, 0);
    fpu.control_word = head as u16;
    fpu.status_word = (head >> 16) as u16;
    fpu.tag_word = (head >> 32) as u8;
    fpu.opcode = (head >> 48) as u16 & 0x7ff;
    fpu.instruction_pointer = pointer(word(image, 8));
    fpu.data_pointer = pointer(word(image, 16));
    for (register, bytes) in fpu.st.iter_mut().zip(image[ST..XMM].as_chunks().0) {
        *register = u128::from_le_bytes(*bytes) & ST_BITS;
    }
    fpu.summarize();
}

fn restore_xmm(cpu: &mut Cpu, image: &[u8]) {
    let count = xmm_registers(cpu);
    let registers = &mut cpu.state.fpu.xmm[..count];
    for (register, bytes) in registers.iter_mut().zip(image[XMM..LEGACY_USED].as_chunks().0) {
        *register = u128::from_le_bytes(*bytes);
    }
}

/// MXCSR in an image.
///
/// # Errors
/// #GP(0) for reserved bits.
fn image_mxcsr(image: &[u8]) -> Result<u32, Leave> {
    match word(image, MXCSR) as u32 {
        mxcsr if mxcsr & !WRITABLE == 0 => Ok(mxcsr),
        _ => Err(Exception::GP0.into()),
    }
}

/// The registers ST0 to ST7 in the image.
fn st_bytes(fpu: &Fpu) -> [u8; 128] {
    let mut bytes = [0; 128];
    for (place, register) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(fpu.st) {
        *place = (register & ST_BITS).to_le_bytes();
    }
    bytes
}

/// The XMM registers in the image.
fn xmm_bytes(fpu: &Fpu) -> [u8; 256] {
    let mut bytes = [0; 256];
    for (place, register) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(fpu.xmm) {
        *place = register.to_le_bytes();
    }
    bytes
}

/// MXCSR and the mask of its bits that exist.
fn mxcsr_bytes(cpu: &Cpu) -> [u8; 8] {
    (u64::from(cpu.mxcsr()) | u64::from(WRITABLE) << 32).to_le_bytes()
}

fn fxsave(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    x87::require(cpu)?;
    let (segment, linear) = area(cpu, detail, HEADER, 16, true)?;
    cpu.probe_write(segment, linear, HEADER as u32)?;
    let fpu = &cpu.state.fpu;
    let mut image = [0; LEGACY_USED];
    image[..MXCSR].copy_from_slice(&x87_header(fpu, wide));
    image[MXCSR..ST].copy_from_slice(&mxcsr_bytes(cpu));
    image[ST..XMM].copy_from_slice(&st_bytes(fpu));
    image[XMM..].copy_from_slice(&xmm_bytes(fpu));
    let used = XMM + 16 * xmm_registers(cpu);
    write_bytes(cpu, segment, linear, &image[..used])
}

fn fxrstor(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    x87::require(cpu)?;
    let (segment, linear) = area(cpu, detail, HEADER, 16, false)?;
    let mut image = [0; HEADER];
    read_bytes(cpu, segment, linear, &mut image)?;
    let mxcsr = image_mxcsr(&image)?;
    restore_x87(&mut cpu.state.fpu, &image, wide);
    restore_xmm(cpu, &image);
    cpu.set_mxcsr(mxcsr);
    Ok(())
}

/// The requested-feature bitmap: what EDX:EAX and XCR0 both name.
fn requested(cpu: &Cpu) -> u64 {
    let (low, high) = (cpu.state.gpr[Register::Rax], cpu.state.gpr[Register::Rdx]);
    (low & 0xffff_ffff | high << 32) & cpu.state.control.xcr0.bits()
}

/// The components that are not in their initial configuration (SDM, "Processor Tracking of
/// XSAVE-Managed State").
fn in_use(cpu: &Cpu) -> u64 {
    let fpu = &cpu.state.fpu;
    let mut initial = *fpu;
    initialize_x87(&mut initial);
    let x87 = if initial == *fpu { 0 } else { X87 };
    let xmm = fpu.xmm[..xmm_registers(cpu)].iter().any(|&register| register != 0);
    x87 | if xmm { SSE } else { 0 }
}

/// XSAVE. Writes only the components that are asked for, and their bits in XSTATE_BV.
fn xsave(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    require_xsave(cpu)?;
    let (segment, linear) = area(cpu, detail, XSAVE_AREA, 64, true)?;
    cpu.probe_write(segment, linear, XSAVE_AREA as u32)?;
    let requested = requested(cpu);
    let header = linear + HEADER as u64;
    let present = cpu.load::<u64>(segment, header)?;
    let fpu = cpu.state.fpu;
    if requested & X87 != 0 {
        write_bytes(cpu, segment, linear, &x87_header(&fpu, wide))?;
        write_bytes(cpu, segment, linear + ST as u64, &st_bytes(&fpu))?;
    }
    if requested & SSE != 0 {
        let mxcsr = mxcsr_bytes(cpu);
        write_bytes(cpu, segment, linear + MXCSR as u64, &mxcsr)?;
        let used = 16 * xmm_registers(cpu);
        write_bytes(cpu, segment, linear + XMM as u64, &xmm_bytes(&fpu)[..used])?;
    }
    cpu.store(segment, header, present & !requested | in_use(cpu) & requested)
}

/// XRSTOR from the standard format; the compacted one is not offered.
fn xrstor(cpu: &mut Cpu, detail: &Detail, wide: bool) -> Result<(), Leave> {
    require_xsave(cpu)?;
    let (segment, linear) = area(cpu, detail, XSAVE_AREA, 64, false)?;
    let mut image = [0; XSAVE_AREA];
    read_bytes(cpu, segment, linear, &mut image)?;
    let present = word(&image, HEADER);
    let foreign = present & !cpu.state.control.xcr0.bits();
    // XCOMP_BV and the eight bytes behind it.
    if foreign | word(&image, HEADER + 8) | word(&image, HEADER + 16) != 0 {
        return Err(Exception::GP0.into());
    }
    let requested = requested(cpu);
    // MXCSR is loaded with the SSE component even if that is then initialised.
    let mxcsr = if requested & SSE != 0 { Some(image_mxcsr(&image)?) } else { None };
    if requested & X87 != 0 {
        match present & X87 {
            0 => initialize_x87(&mut cpu.state.fpu),
            _ => restore_x87(&mut cpu.state.fpu, &image, wide),
        }
    }
    if requested & SSE != 0 {
        if present & SSE == 0 {
            image[XMM..LEGACY_USED].fill(0);
        }
        restore_xmm(cpu, &image);
    }
    if let Some(mxcsr) = mxcsr {
        cpu.set_mxcsr(mxcsr);
    }
    Ok(())
}

fn xgetbv(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    if cpu.state.gpr[Register::Rcx] as u32 != 0 {
        return Err(Exception::GP0.into());
    }
    let xcr0 = cpu.state.control.xcr0.bits();
    cpu.state.gpr[Register::Rax] = xcr0 & 0xffff_ffff;
    cpu.state.gpr[Register::Rdx] = xcr0 >> 32;
    Ok(())
}

fn xsetbv(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    cpu.require_cpl0()?;
    let gpr = &cpu.state.gpr;
    let value = gpr[Register::Rax] & 0xffff_ffff | gpr[Register::Rdx] << 32;
    let index = gpr[Register::Rcx] as u32;
    Ok(write_xcr(&mut cpu.state, index, value)?)
}

/// The x87 state of the initial configuration, registers included; FNINIT keeps those.
fn initialize_x87(fpu: &mut Fpu) {
    x87::initialize(fpu);
    fpu.st = [0; 8];
}

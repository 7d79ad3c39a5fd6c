//! Extended states: XSAVE, XSAVEC, XSAVEOPT, XSAVES, XRSTOR, XRSTORS and their 64-bit forms, XGETBV,
//! XSETBV (SDM, "Managing State Using the XSAVE Feature Set"). The legacy region of their area is
//! `fpu_state`'s.
//!
//! Components are x87, SSE, AVX and PKRU. No supervisor component exists, so XSAVES and XRSTORS differ from
//! XSAVEC and XRSTOR in their privilege and in the format that they insist on. Behind the header is AVX
//! state, then PKRU: in the standard format where CPUID says, in the compacted format next to what is in
//! front of it. What is in its initial configuration is tracked by looking at it. Nothing is tracked as
//! unmodified, which processors need not do either.
//!
//! Invariant: an instruction that faults has changed neither registers nor memory.

use iced_x86::Mnemonic;

use super::control_register::write_xcr;
use super::fpu_state::{
    HEADER, LEGACY_USED, MXCSR, ST, XMM, area, halves_bytes, image_mxcsr, initialize_x87, look_for,
    mxcsr_bytes, read_bytes, restore_halves, restore_x87, restore_xmm, st_bytes, vector_registers,
    word, write_bytes, x87_header,
};
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave};
use crate::cpuid::{AVX_STATE_BYTES, PKRU_STATE_BYTES};
use crate::paging::AccessKind;
use crate::state::{Cr0Flags, Cr4Flags, Exception, Register, SegmentRegister};

/// Rows of an instruction and of its 64-bit form.
macro_rules! rows {
    ($($name:ident, $wide:ident => $call:ident $function:expr;)*) => {
        pub(super) const ROWS: &[Row] = &[
            $((Mnemonic::$name, |e| {
                e.$call(|cpu, detail| $function(cpu, detail, false));
                Some(())
            }),
            (Mnemonic::$wide, |e| {
                e.$call(|cpu, detail| $function(cpu, detail, true));
                Some(())
            }),)*
            (Mnemonic::Xgetbv, |e| {
                e.call_out(xgetbv);
                Some(())
            }),
            (Mnemonic::Xsetbv, |e| {
                e.call_out_last(xsetbv);
                Some(())
            }),
        ];
    };
}

rows! {
    Xsave, Xsave64 => call_out |cpu, detail, wide| save(cpu, detail, wide, Save::Standard);
    Xsaveopt, Xsaveopt64 => call_out |cpu, detail, wide| save(cpu, detail, wide, Save::Optimized);
    Xsavec, Xsavec64 => call_out |cpu, detail, wide| save(cpu, detail, wide, Save::Compacted);
    Xsaves, Xsaves64 => call_out |cpu, detail, wide| save(cpu, detail, wide, Save::Supervisor);
    Xrstor, Xrstor64 => call_out_last |cpu, detail, wide| restore(cpu, detail, wide, false);
    Xrstors, Xrstors64 => call_out_last |cpu, detail, wide| restore(cpu, detail, wide, true);
}

/// State component 0 of XCR0 and XSTATE_BV.
const X87: u64 = 1;
/// State component 1.
const SSE: u64 = 2;
/// State component 2.
const AVX: u64 = 4;
/// State component 9.
const PKRU: u64 = 1 << 9;

const HEADER_BYTES: usize = 64;
/// Where the first component behind the header is: AVX state.
const EXTENDED: usize = HEADER + HEADER_BYTES;
/// The upper halves of sixteen registers.
const AVX_BYTES: usize = AVX_STATE_BYTES as usize;
/// The register and as many bytes of zeros.
const PKRU_BYTES: usize = PKRU_STATE_BYTES as usize;
/// The bit of XCOMP_BV that says that the area is compacted.
const COMPACTED: u64 = 1 << 63;
const MXCSR_INITIAL: u32 = 0x1f80;

/// How the instructions that save differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Save {
    /// XSAVE: all that is asked for.
    Standard,
    /// XSAVEOPT: what is in use of it.
    Optimized,
    /// XSAVEC: what is in use, in compacted format.
    Compacted,
    /// XSAVES: the same, at privilege level 0.
    Supervisor,
}

fn require_osxsave(cpu: &Cpu) -> Result<(), Leave> {
    match cpu.state.control.cr4.contains(Cr4Flags::OSXSAVE) {
        true => Ok(()),
        false => Err(Exception::UD.into()),
    }
}

/// #UD unless the system manages extended states, #NM while it keeps them from use, #GP(0) without the
/// privilege.
fn require(cpu: &Cpu, supervisor: bool) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    if cpu.state.control.cr0.contains(Cr0Flags::TASK_SWITCHED) {
        return Err(Exception::NM.into());
    }
    if supervisor { cpu.require_cpl0() } else { Ok(()) }
}

/// The requested-feature bitmap: what EDX:EAX and XCR0 both name.
fn requested(cpu: &Cpu) -> u64 {
    let (low, high) = (cpu.state.gpr[Register::Rax], cpu.state.gpr[Register::Rdx]);
    (low & 0xffff_ffff | high << 32) & cpu.state.control.xcr0.bits()
}

/// The components that are not in their initial configuration (SDM, "Processor Tracking of
/// XSAVE-Managed State"): XINUSE.
fn in_use(cpu: &Cpu) -> u64 {
    let fpu = &cpu.state.fpu;
    let mut initial = *fpu;
    initialize_x87(&mut initial);
    let count = vector_registers(cpu);
    let any = |halves: &[u128; 16]| halves[..count].iter().any(|&half| half != 0);
    let component = |bit: u64, used: bool| if used { bit } else { 0 };
    component(X87, initial != *fpu)
        | component(SSE, any(&fpu.xmm))
        | component(AVX, any(&fpu.ymm_high))
        | component(PKRU, cpu.state.control.pkru != 0)
}

/// Where an area has its components behind the header: AVX state comes first, if at all.
#[derive(Clone, Copy)]
struct Layout {
    pkru_at: usize,
}

impl Layout {
    /// Each component has its place, which CPUID tells, be it saved or not.
    fn standard(cpu: &Cpu) -> Self {
        Self { pkru_at: cpu.model.pkru_at() as usize }
    }

    /// There is room for `components` alone.
    fn compacted(components: u64) -> Self {
        Self { pkru_at: EXTENDED + if components & AVX != 0 { AVX_BYTES } else { 0 } }
    }

    /// The bytes of an area up to the last of `components`.
    fn bytes(self, components: u64) -> usize {
        match components {
            _ if components & PKRU != 0 => self.pkru_at + PKRU_BYTES,
            _ if components & AVX != 0 => EXTENDED + AVX_BYTES,
            _ => EXTENDED,
        }
    }
}

/// XSAVE and its like: writes the components, then the header.
fn save(cpu: &mut Cpu, detail: &Detail, wide: bool, form: Save) -> Result<(), Leave> {
    require(cpu, form == Save::Supervisor)?;
    let requested = requested(cpu);
    let compacts = matches!(form, Save::Compacted | Save::Supervisor);
    let in_use = in_use(cpu);
    let mut saved = requested & if form == Save::Standard { u64::MAX } else { in_use };
    if compacts && cpu.mxcsr() != MXCSR_INITIAL {
        saved |= requested & SSE;
    }
    let layout = if compacts { Layout::compacted(requested) } else { Layout::standard(cpu) };
    let bytes = layout.bytes(saved);
    let (segment, linear) = area(cpu, detail, bytes, 64, true)?;
    look_for(cpu, segment, linear, [0, bytes - 1], AccessKind::Write)?;
    cpu.probe_write(segment, linear, bytes as u32)?;
    let header = linear + HEADER as u64;
    let fpu = cpu.state.fpu;
    let registers = 16 * vector_registers(cpu);
    let before = if compacts { 0 } else { cpu.load::<u64>(segment, header)? };
    if saved & X87 != 0 {
        write_bytes(cpu, segment, linear, &x87_header(&fpu, wide))?;
        write_bytes(cpu, segment, linear + ST as u64, &st_bytes(&fpu))?;
    }
    // In standard format MXCSR belongs to AVX as well, and is there even if both are not in use.
    let with_mxcsr = if compacts { saved & SSE } else { requested & (SSE | AVX) };
    if with_mxcsr != 0 {
        let mxcsr = mxcsr_bytes(cpu);
        write_bytes(cpu, segment, linear + MXCSR as u64, &mxcsr)?;
    }
    if saved & SSE != 0 {
        write_bytes(cpu, segment, linear + XMM as u64, &halves_bytes(&fpu.xmm)[..registers])?;
    }
    if saved & AVX != 0 {
        let upper = halves_bytes(&fpu.ymm_high);
        write_bytes(cpu, segment, linear + EXTENDED as u64, &upper[..registers])?;
    }
    if saved & PKRU != 0 {
        let pkru = u64::from(cpu.state.control.pkru);
        cpu.store(segment, linear + layout.pkru_at as u64, pkru)?;
    }
    if compacts {
        cpu.store(segment, header, saved)?;
        return cpu.store(segment, header + 8, requested | COMPACTED);
    }
    cpu.store(segment, header, before & !requested | in_use & requested)
}

/// What the header of an area to restore says.
struct Header {
    /// XSTATE_BV: the components that are there; the others are to be initialised.
    present: u64,
    compacted: bool,
    layout: Layout,
}

/// The header, unless it breaks a rule (SDM, XRSTOR, "Protected Mode Exceptions").
///
/// # Errors
/// #GP(0).
fn header(
    cpu: &mut Cpu,
    segment: SegmentRegister,
    linear: u64,
    supervisor: bool,
) -> Result<Header, Leave> {
    let mut bytes = [0; HEADER_BYTES];
    read_bytes(cpu, segment, linear + HEADER as u64, &mut bytes)?;
    let (present, format) = (word(&bytes, 0), word(&bytes, 8));
    let enabled = cpu.state.control.xcr0.bits();
    let compacted = format & COMPACTED != 0;
    let (known, reserved) = match compacted {
        true => (format & !COMPACTED, &bytes[16..]),
        // The bytes behind are ignored.
        false => (enabled, &bytes[8..24]),
    };
    let foreign = present & !known | known & !enabled;
    if supervisor && !compacted || foreign != 0 || reserved.iter().any(|&byte| byte != 0) {
        return Err(Exception::GP0.into());
    }
    let layout = if compacted { Layout::compacted(known) } else { Layout::standard(cpu) };
    Ok(Header { present, compacted, layout })
}

/// XRSTOR and XRSTORS: reads everything, then changes the registers.
fn restore(cpu: &mut Cpu, detail: &Detail, wide: bool, supervisor: bool) -> Result<(), Leave> {
    require(cpu, supervisor)?;
    let (segment, linear) = area(cpu, detail, EXTENDED, 64, false)?;
    look_for(cpu, segment, linear, [0, HEADER], AccessKind::Read)?;
    let mut image = [0; HEADER];
    read_bytes(cpu, segment, linear, &mut image)?;
    let Header { present, compacted, layout } = header(cpu, segment, linear, supervisor)?;
    let requested = requested(cpu);
    let loaded = requested & present;
    let mut upper = [0; AVX_BYTES];
    if loaded & AVX != 0 {
        let bytes = layout.bytes(AVX);
        area(cpu, detail, bytes, 64, false)?;
        look_for(cpu, segment, linear, [bytes - 1, EXTENDED], AccessKind::Read)?;
        read_bytes(cpu, segment, linear + EXTENDED as u64, &mut upper)?;
    }
    let mut pkru = 0;
    if loaded & PKRU != 0 {
        area(cpu, detail, layout.bytes(PKRU), 64, false)?;
        pkru = cpu.load::<u32>(segment, linear + layout.pkru_at as u64)?;
    }
    // In standard format MXCSR is loaded even if the registers are then initialised.
    let mxcsr = match compacted {
        false if requested & (SSE | AVX) != 0 => Some(image_mxcsr(&image)?),
        true if loaded & SSE != 0 => Some(image_mxcsr(&image)?),
        true if requested & SSE != 0 => Some(MXCSR_INITIAL),
        _ => None,
    };
    if loaded & X87 != 0 {
        restore_x87(&mut cpu.state.fpu, &image, wide);
    } else if requested & X87 != 0 {
        initialize_x87(&mut cpu.state.fpu);
    }
    if requested & SSE != 0 {
        if loaded & SSE == 0 {
            image[XMM..LEGACY_USED].fill(0);
        }
        restore_xmm(cpu, &image);
    }
    if requested & AVX != 0 {
        let count = vector_registers(cpu);
        restore_halves(&mut cpu.state.fpu.ymm_high[..count], &upper);
    }
    if requested & PKRU != 0 {
        cpu.state.control.pkru = pkru;
    }
    if let Some(mxcsr) = mxcsr {
        cpu.set_mxcsr(mxcsr);
    }
    Ok(())
}

/// XGETBV: XCR0, or with ECX = 1 what of it is in use.
fn xgetbv(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    let xcr0 = cpu.state.control.xcr0.bits();
    let value = match cpu.state.gpr[Register::Rcx] as u32 {
        0 => xcr0,
        1 => xcr0 & in_use(cpu),
        _ => return Err(Exception::GP0.into()),
    };
    cpu.state.gpr[Register::Rax] = value & 0xffff_ffff;
    cpu.state.gpr[Register::Rdx] = value >> 32;
    Ok(())
}

fn xsetbv(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_osxsave(cpu)?;
    cpu.require_cpl0()?;
    let gpr = &cpu.state.gpr;
    let value = gpr[Register::Rax] & 0xffff_ffff | gpr[Register::Rdx] << 32;
    let index = gpr[Register::Rcx] as u32;
    Ok(write_xcr(&mut cpu.state, index, value, cpu.model.xcr0_writable())?)
}

//! [`CpuState`] in KVM's structures, and back. Plain conversions: no call to KVM is made here.
//!
//! Invariant: what is converted there and back is the same, except for what KVM does not hold (the
//! memory-type registers and the activity, which the vCPU keeps itself).

use std::array;

use kvm_bindings::{
    KVM_SREGS2_FLAGS_PDPTRS_VALID, KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_SHADOW,
    KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_debugregs, kvm_dtable, kvm_regs,
    kvm_segment, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcr, kvm_xcrs, kvm_xsave,
};
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Debug, DescriptorTable, Dr6Flags, EferFlags, Exception, Fpu, Gpr,
    Pending, RFlags, Register, Segment, SegmentRegister, Shadow, Vector, XCr0Flags,
};
use monovisor_core::{CpuState, state};

/// A model-specific register that KVM holds, and where the state has it.
pub(super) struct Msr {
    pub number: u32,
    /// The access to it, as an error's operation.
    pub access: &'static str,
    pub field: fn(&mut state::Msrs) -> &mut u64,
}

const fn msr(number: u32, access: &'static str, field: fn(&mut state::Msrs) -> &mut u64) -> Msr {
    Msr { number, access, field }
}

/// What single-stepping steps over. The guest's accesses are ours, so that it finds the same bits under
/// both engines; what it has written is KVM's.
pub(super) const IA32_DEBUGCTL: u32 = 0x1d9;

/// The registers that are saved and restored one by one; the others are in structures.
pub(super) const MSRS: &[Msr] = &[
    msr(0x3b, "access to IA32_TSC_ADJUST", |msrs| &mut msrs.tsc_adjust),
    msr(0x174, "access to IA32_SYSENTER_CS", |msrs| &mut msrs.sysenter_cs),
    msr(0x175, "access to IA32_SYSENTER_ESP", |msrs| &mut msrs.sysenter_esp),
    msr(0x176, "access to IA32_SYSENTER_EIP", |msrs| &mut msrs.sysenter_eip),
    msr(IA32_DEBUGCTL, "access to IA32_DEBUGCTL", |msrs| &mut msrs.debug_control),
    msr(0xc000_0081, "access to IA32_STAR", |msrs| &mut msrs.star),
    msr(0xc000_0082, "access to IA32_LSTAR", |msrs| &mut msrs.lstar),
    msr(0xc000_0083, "access to IA32_CSTAR", |msrs| &mut msrs.cstar),
    msr(0xc000_0084, "access to IA32_FMASK", |msrs| &mut msrs.fmask),
    msr(0xc000_0102, "access to IA32_KERNEL_GS_BASE", |msrs| &mut msrs.kernel_gs_base),
    msr(0xc000_0103, "access to IA32_TSC_AUX", |msrs| &mut msrs.tsc_aux),
];

/// The general registers in the order of their numbers.
pub(super) fn regs(state: &CpuState) -> kvm_regs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] =
        *state.gpr.as_array();
    let (rip, rflags) = (state.rip, state.rflags.bits());
    kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rsp,
        rbp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip,
        rflags,
    }
}

pub(super) fn load_regs(state: &mut CpuState, regs: &kvm_regs) {
    let values = [
        regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi, regs.r8,
        regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    state.gpr = Gpr::default();
    for (register, value) in Register::ALL.into_iter().zip(values) {
        state.gpr[register] = value;
    }
    state.rip = regs.rip;
    state.rflags = RFlags::from_bits_retain(regs.rflags);
}

/// Segments, tables and control registers. CR8 is the local APIC's.
pub(super) fn sregs(state: &CpuState, cr8: u64) -> kvm_sregs {
    let segment = |register| segment(&state.segments[register]);
    kvm_sregs {
        es: segment(SegmentRegister::Es),
        cs: segment(SegmentRegister::Cs),
        ss: segment(SegmentRegister::Ss),
        ds: segment(SegmentRegister::Ds),
        fs: segment(SegmentRegister::Fs),
        gs: segment(SegmentRegister::Gs),
        ldt: segment(SegmentRegister::Ldtr),
        tr: segment(SegmentRegister::Tr),
        gdt: table(state.gdtr),
        idt: table(state.idtr),
        cr0: state.control.cr0.bits(),
        cr2: match state.pending.fault {
            // KVM delivers it without.
            Some(fault) if fault.vector == Vector::PageFault => fault.payload,
            _ => state.control.cr2,
        },
        cr3: state.control.cr3,
        cr4: state.control.cr4.bits(),
        cr8,
        efer: state.control.efer.bits(),
        apic_base: state.msr.apic_base,
        interrupt_bitmap: [0; 4],
    }
}

pub(super) fn load_sregs(state: &mut CpuState, sregs: &kvm_sregs) {
    for (register, segment) in [
        (SegmentRegister::Es, &sregs.es),
        (SegmentRegister::Cs, &sregs.cs),
        (SegmentRegister::Ss, &sregs.ss),
        (SegmentRegister::Ds, &sregs.ds),
        (SegmentRegister::Fs, &sregs.fs),
        (SegmentRegister::Gs, &sregs.gs),
        (SegmentRegister::Ldtr, &sregs.ldt),
        (SegmentRegister::Tr, &sregs.tr),
    ] {
        state.segments[register] = load_segment(segment);
    }
    let load_table = |table: &kvm_dtable| DescriptorTable { base: table.base, limit: table.limit };
    state.gdtr = load_table(&sregs.gdt);
    state.idtr = load_table(&sregs.idt);
    state.control.cr0 = Cr0Flags::from_bits_retain(sregs.cr0);
    state.control.cr2 = sregs.cr2;
    state.control.cr3 = sregs.cr3;
    state.control.pdptes = None;
    state.control.cr4 = Cr4Flags::from_bits_retain(sregs.cr4);
    state.control.efer = EferFlags::from_bits_retain(sregs.efer);
    state.msr.apic_base = sregs.apic_base;
}

/// Whether the PDPTE registers are in use: with PAE paging.
pub(super) fn uses_pdptes(state: &CpuState) -> bool {
    let pae = state.control.cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    state.paging() && pae && !state.long_mode()
}

/// `sregs` with the PDPTE registers, which KVM reads from memory otherwise.
pub(super) fn sregs2(sregs: &kvm_sregs, pdptes: [u64; 4]) -> kvm_sregs2 {
    let kvm_sregs { es, cs, ss, ds, fs, gs, ldt, tr, gdt, idt, .. } = *sregs;
    let kvm_sregs { cr0, cr2, cr3, cr4, cr8, efer, apic_base, .. } = *sregs;
    kvm_sregs2 {
        es,
        cs,
        ss,
        ds,
        fs,
        gs,
        ldt,
        tr,
        gdt,
        idt,
        cr0,
        cr2,
        cr3,
        cr4,
        cr8,
        efer,
        apic_base,
        flags: KVM_SREGS2_FLAGS_PDPTRS_VALID.into(),
        pdptrs: pdptes,
    }
}

pub(super) fn load_pdptes(state: &mut CpuState, sregs: &kvm_sregs2) {
    let valid = sregs.flags & u64::from(KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
    state.control.pdptes = valid.then_some(sregs.pdptrs);
}

fn segment(segment: &Segment) -> kvm_segment {
    let Segment { base, limit, access, selector } = *segment;
    let bit = |number: u32| (access.0 >> number & 1) as u8;
    kvm_segment {
        base,
        limit,
        selector,
        type_: access.kind(),
        s: bit(4),
        dpl: access.dpl(),
        present: bit(7),
        avl: bit(12),
        l: bit(13),
        db: bit(14),
        g: bit(15),
        unusable: bit(16),
        padding: 0,
    }
}

fn load_segment(segment: &kvm_segment) -> Segment {
    let fields = [
        (segment.type_, 0),
        (segment.s, 4),
        (segment.dpl, 5),
        (segment.present, 7),
        (segment.avl, 12),
        (segment.l, 13),
        (segment.db, 14),
        (segment.g, 15),
        (segment.unusable, 16),
    ];
    let access =
        fields.iter().fold(0, |access, &(value, shift)| access | u32::from(value) << shift);
    let kvm_segment { base, limit, selector, .. } = *segment;
    Segment { base, limit, access: Access(access), selector }
}

fn table(table: DescriptorTable) -> kvm_dtable {
    kvm_dtable { base: table.base, limit: table.limit, padding: [0; 3] }
}

/// Places of x87, SSE and AVX state in an XSAVE area in standard format (SDM, "Legacy Region of an XSAVE
/// Area"; the place of AVX state is that of all processors).
mod area {
    pub const CONTROL_WORD: usize = 0;
    pub const STATUS_WORD: usize = 2;
    pub const TAG_WORD: usize = 4;
    pub const OPCODE: usize = 6;
    pub const INSTRUCTION_POINTER: usize = 8;
    pub const DATA_POINTER: usize = 16;
    pub const MXCSR: usize = 24;
    pub const ST: usize = 32;
    pub const XMM: usize = 160;
    pub const XSTATE_BV: usize = 512;
    pub const YMM_HIGH: usize = 576;
}

/// The components x87 and SSE, which every processor has.
const X87_AND_SSE: u64 = 0b11;
/// The component AVX.
const AVX: u64 = 0b100;
/// The component PKRU.
const PKRU: u64 = 1 << 9;

/// x87, SSE and AVX state as an XSAVE area, and PKRU where this host has it at `pkru_at`. Upper halves that
/// are all zero are left out: a host without AVX refuses them. (KVM_SET_FPU leaves MXCSR out.)
pub(super) fn xsave(state: &CpuState, pkru_at: Option<usize>) -> kvm_xsave {
    let fpu = &state.fpu;
    let mut xsave = kvm_xsave::default();
    let mut put = |at: usize, bytes: &[u8]| {
        for (offset, byte) in (at..).zip(bytes) {
            if let Some(word) = xsave.region.get_mut(offset / 4) {
                *word |= u32::from(*byte) << (8 * (offset % 4));
            }
        }
    };
    put(area::CONTROL_WORD, &fpu.control_word.to_le_bytes());
    put(area::STATUS_WORD, &fpu.status_word.to_le_bytes());
    put(area::TAG_WORD, &[fpu.tag_word]);
    put(area::OPCODE, &fpu.opcode.to_le_bytes());
    put(area::INSTRUCTION_POINTER, &fpu.instruction_pointer.to_le_bytes());
    put(area::DATA_POINTER, &fpu.data_pointer.to_le_bytes());
    put(area::MXCSR, &fpu.mxcsr.to_le_bytes());
    let avx = if fpu.ymm_high == [0; 16] { 0 } else { AVX };
    let pkru = if pkru_at.is_some() { PKRU } else { 0 };
    put(area::XSTATE_BV, &(X87_AND_SSE | avx | pkru).to_le_bytes());
    for (at, register) in (area::ST..).step_by(16).zip(&fpu.st) {
        // Ten bytes; the rest is reserved.
        put(at, &register.to_le_bytes()[..10]);
    }
    for (at, register) in (area::XMM..).step_by(16).zip(&fpu.xmm) {
        put(at, &register.to_le_bytes());
    }
    for (at, register) in (area::YMM_HIGH..).step_by(16).zip(&fpu.ymm_high) {
        put(at, &register.to_le_bytes());
    }
    if let Some(at) = pkru_at {
        put(at, &state.control.pkru.to_le_bytes());
    }
    xsave
}

pub(super) fn load_xsave(state: &mut CpuState, xsave: &kvm_xsave, pkru_at: Option<usize>) {
    let get = |at: usize, bytes: usize| {
        (at..at + bytes).rev().fold(0, |value, offset| {
            let word = xsave.region.get(offset / 4).copied().unwrap_or(0);
            value << 8 | u128::from(word >> (8 * (offset % 4)) & 0xff)
        })
    };
    let components = get(area::XSTATE_BV, 8) as u64;
    let avx = components & AVX != 0;
    if let Some(at) = pkru_at {
        state.control.pkru = if components & PKRU != 0 { get(at, 4) as u32 } else { 0 };
    }
    state.fpu = Fpu {
        xmm: array::from_fn(|number| get(area::XMM + 16 * number, 16)),
        ymm_high: array::from_fn(|number| match avx {
            true => get(area::YMM_HIGH + 16 * number, 16),
            false => 0,
        }),
        st: array::from_fn(|number| get(area::ST + 16 * number, 10)),
        mxcsr: get(area::MXCSR, 4) as u32,
        control_word: get(area::CONTROL_WORD, 2) as u16,
        status_word: get(area::STATUS_WORD, 2) as u16,
        tag_word: get(area::TAG_WORD, 1) as u8,
        opcode: get(area::OPCODE, 2) as u16,
        instruction_pointer: get(area::INSTRUCTION_POINTER, 8) as u64,
        data_pointer: get(area::DATA_POINTER, 8) as u64,
    };
}

pub(super) fn xcrs(state: &CpuState) -> kvm_xcrs {
    let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
    xcrs.xcrs[0] = kvm_xcr { xcr: 0, reserved: 0, value: state.control.xcr0.bits() };
    xcrs
}

pub(super) fn load_xcrs(xcrs: &kvm_xcrs) -> XCr0Flags {
    let listed = xcrs.xcrs.iter().take(xcrs.nr_xcrs as usize);
    let xcr0 = listed.clone().find(|xcr| xcr.xcr == 0);
    xcr0.map_or(XCr0Flags::X87, |xcr0| XCr0Flags::from_bits_retain(xcr0.value))
}

pub(super) fn debug(state: &CpuState) -> kvm_debugregs {
    let Debug { address, dr6, dr7 } = state.debug;
    kvm_debugregs { db: address, dr6, dr7, ..Default::default() }
}

pub(super) fn load_debug(debug: &kvm_debugregs) -> Debug {
    Debug { address: debug.db, dr6: debug.dr6, dr7: debug.dr7 }
}

/// What is pending and what is held back. An interrupt that waits is kept by the vCPU, since KVM
/// would inject it whatever the flags say.
pub(super) fn events(state: &CpuState) -> kvm_vcpu_events {
    let flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    let mut events = kvm_vcpu_events { flags, ..Default::default() };
    events.nmi.pending = state.pending.nmi.into();
    events.nmi.masked = state.shadow.nmi.into();
    let bits = [
        (state.shadow.sti, KVM_X86_SHADOW_INT_STI),
        (state.shadow.mov_ss, KVM_X86_SHADOW_INT_MOV_SS),
    ];
    events.interrupt.shadow =
        bits.iter().filter(|(set, _)| *set).fold(0, |shadow, (_, bit)| shadow | *bit as u8);
    if state.pending.debug.is_some() {
        events.exception.injected = 1;
        events.exception.nr = Vector::Debug as u8;
    } else if let Some(fault) = state.pending.fault {
        events.exception.injected = 1;
        events.exception.nr = fault.vector as u8;
        events.exception.has_error_code = fault.error_code.is_some().into();
        events.exception.error_code = fault.error_code.unwrap_or(0);
    }
    events
}

/// An exception that its instruction raises again when it is restarted needs no place: RIP is still
/// at the instruction. The same holds for INT n. Only a fault that the state has told of itself, of a
/// task switch that is done, waits until KVM has delivered it.
pub(super) fn load_events(state: &mut CpuState, events: &kvm_vcpu_events) {
    let shadow = u32::from(events.interrupt.shadow);
    state.shadow = Shadow {
        sti: shadow & KVM_X86_SHADOW_INT_STI != 0,
        mov_ss: shadow & KVM_X86_SHADOW_INT_MOV_SS != 0,
        nmi: events.nmi.masked != 0 && events.nmi.injected == 0,
    };
    let exception = events.exception;
    let debug =
        exception.nr == Vector::Debug as u8 && (exception.injected != 0 || exception.pending != 0);
    let waits = |fault: &Exception| {
        exception.injected != 0
            && exception.nr == fault.vector as u8
            && exception.error_code == fault.error_code.unwrap_or(0)
    };
    let interrupt = events.interrupt.injected != 0 && events.interrupt.soft == 0;
    state.pending = Pending {
        debug: debug.then(|| Dr6Flags::from_bits_truncate(state.debug.dr6)),
        nmi: events.nmi.pending != 0 || events.nmi.injected != 0,
        interrupt: interrupt.then_some(events.interrupt.nr),
        fault: state.pending.fault.filter(waits),
    };
}

#[cfg(test)]
mod tests;

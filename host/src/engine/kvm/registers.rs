//! All of a vCPU's state out of KVM and into it: which calls it takes.
//!
//! Invariant: nothing is half done by an access to a device when these are called; the vCPU sees to
//! that.

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;
use monovisor_core::cpuid::{Model, feature};
use monovisor_core::{CpuState, EngineError};

use super::ioctl::{self, failed};
use super::state::{self, MSRS, Msr};
use super::system::System;

/// Reads what KVM holds of a vCPU that tells `model` of itself into `cpu`; the rest of it stays.
pub(super) fn read(
    fd: &VcpuFd,
    system: &System,
    model: &Model,
    cpu: &mut CpuState,
) -> Result<(), EngineError> {
    state::load_regs(cpu, &fd.get_regs().map_err(failed("KVM_GET_REGS"))?);
    state::load_sregs(cpu, &fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?);
    if system.tells_pdptes && state::uses_pdptes(cpu) {
        state::load_pdptes(cpu, &ioctl::sregs2(fd)?);
    }
    let xsave = fd.get_xsave().map_err(failed("KVM_GET_XSAVE"))?;
    state::load_xsave(cpu, &xsave, pkru_at(model));
    cpu.control.xcr0 = state::load_xcrs(&fd.get_xcrs().map_err(failed("KVM_GET_XCRS"))?);
    cpu.debug = state::load_debug(&fd.get_debug_regs().map_err(failed("KVM_GET_DEBUGREGS"))?);
    let events = fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
    state::load_events(cpu, &events);

    let entry = |msr: &Msr| kvm_msr_entry { index: msr.number, ..Default::default() };
    let mut msrs = list(held(system).map(entry))?;
    let read = fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
    all_done(system, read)?;
    for (msr, entry) in held(system).zip(msrs.as_slice()) {
        *(msr.field)(&mut cpu.msr) = entry.data;
    }
    Ok(())
}

/// Gives KVM all of `cpu` that it holds. `cr8` is the local APIC's task-priority class.
pub(super) fn write(
    fd: &VcpuFd,
    system: &System,
    model: &Model,
    cpu: &CpuState,
    cr8: u8,
) -> Result<(), EngineError> {
    let mut copy = cpu.msr;
    let msrs = list(held(system).map(|msr| {
        let data = *(msr.field)(&mut copy);
        kvm_msr_entry { index: msr.number, data, ..Default::default() }
    }))?;
    // CR0 and CR4 decide which registers may hold what, so they come first.
    write_sregs(fd, system, cpu, cr8)?;
    all_done(system, fd.set_msrs(&msrs).map_err(failed("KVM_SET_MSRS"))?)?;
    fd.set_regs(&state::regs(cpu)).map_err(failed("KVM_SET_REGS"))?;
    fd.set_xcrs(&state::xcrs(cpu)).map_err(failed("KVM_SET_XCRS"))?;
    // SAFETY: the structure is as large as KVM reads: no component is enabled that needs more.
    unsafe { fd.set_xsave(&state::xsave(cpu, pkru_at(model))) }.map_err(failed("KVM_SET_XSAVE"))?;
    fd.set_debug_regs(&state::debug(cpu)).map_err(failed("KVM_SET_DEBUGREGS"))?;
    fd.set_vcpu_events(&state::events(cpu)).map_err(failed("KVM_SET_VCPU_EVENTS"))
}

fn write_sregs(fd: &VcpuFd, system: &System, cpu: &CpuState, cr8: u8) -> Result<(), EngineError> {
    let sregs = state::sregs(cpu, cr8.into());
    let told = cpu.control.pdptes.filter(|_| system.tells_pdptes && state::uses_pdptes(cpu));
    // A KVM that tells the PDPTEs may still refuse to be told them; it reads them from memory then,
    // where a guest that follows the rules has them.
    match told.map(|pdptes| ioctl::set_sregs2(fd, &state::sregs2(&sregs, pdptes))) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => fd.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS")),
    }
}

/// Where KVM's XSAVE area has PKRU, if the guest can have it.
fn pkru_at(model: &Model) -> Option<usize> {
    model.offers(&feature::PKU).then(|| model.pkru_at() as usize)
}

/// The registers that this KVM holds.
fn held(system: &System) -> impl Iterator<Item = &'static Msr> {
    MSRS.iter().filter(|msr| system.msrs.contains(&msr.number))
}

/// KVM tells how many registers it has read or written, and stops at the first that it refuses.
fn all_done(system: &System, done: usize) -> Result<(), EngineError> {
    match held(system).nth(done) {
        Some(msr) => Err(EngineError { operation: msr.access, errno: libc::EINVAL }),
        None => Ok(()),
    }
}

fn list(entries: impl Iterator<Item = kvm_msr_entry>) -> Result<Msrs, EngineError> {
    let entries: Vec<_> = entries.collect();
    Msrs::from_entries(&entries)
        .map_err(|_| EngineError { operation: "list of model-specific registers", errno: 0 })
}

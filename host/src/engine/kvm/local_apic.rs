//! The local APIC's side of a vCPU on KVM: its registers in memory and in MSRs, the messages that it
//! accepts and sends. The APIC itself is the core's; KVM has none.
//!
//! The model-specific registers that KVM is not given are looked up in the interpreter's table here,
//! so that a guest finds the same ones under both engines.

use kvm_bindings::{Msrs, kvm_msr_entry};
use monovisor_core::apic::{Accepted, Effect, Mode};
use monovisor_core::cpuid::TSC_HZ;
use monovisor_core::msr::{self, MsrEffect};
use monovisor_core::state::Activity;
use monovisor_core::{EngineError, Exit};

use super::ioctl::failed;
use super::state::IA32_DEBUGCTL;
use super::vcpu::KvmVcpu;

const IA32_TIME_STAMP_COUNTER: u32 = 0x10;
const IA32_TSC_DEADLINE: u32 = 0x6e0;

impl KvmVcpu {
    /// The offset in the local APIC's page, if `address` is there.
    pub(super) fn apic_offset(&self, address: u64) -> Option<u32> {
        let offset = address.wrapping_sub(self.own.msr.apic_base & !0xfff);
        (self.apic.mode() == Mode::XApic && offset < 0x1000).then_some(offset as u32)
    }

    /// Answers RDMSR of a register that KVM is not given, or refuses.
    pub(super) fn read_msr(&mut self, number: u32) {
        let now_ns = self.now_ns();
        if self.is_shared(number) {
            // A debug exception has cleared a bit of it, perhaps.
            match self.msr(number) {
                Ok(value) => self.own.msr.debug_control = value,
                Err(error) => self.failed = self.failed.take().or(Some(error)),
            }
        }
        let answer = match is_native(number) {
            true => None,
            false => msr::read(&self.model, &mut self.own, &mut self.apic, now_ns, number).ok(),
        };
        // SAFETY: the exit's reason was KVM_EXIT_X86_RDMSR, so this field of the union is valid.
        let exit = unsafe { &mut self.fd.get_kvm_run().__bindgen_anon_1.msr };
        exit.error = answer.is_none().into();
        exit.data = answer.unwrap_or(0);
    }

    /// Acts on WRMSR to a register that KVM is not given, or refuses it.
    pub(super) fn write_msr(
        &mut self,
        number: u32,
        value: u64,
    ) -> Result<Option<Exit>, EngineError> {
        let now_ns = self.now_ns();
        let effect = match number {
            IA32_TSC_DEADLINE => {
                self.arm_deadline(value, now_ns)?;
                Some(MsrEffect::None)
            }
            _ if is_native(number) => None,
            _ => msr::write(&self.model, &mut self.own, &mut self.apic, now_ns, number, value).ok(),
        };
        if effect.is_some() && self.is_shared(number) {
            self.set_msr(number, self.own.msr.debug_control)?;
        }
        // SAFETY: the exit's reason was KVM_EXIT_X86_WRMSR, so this field of the union is valid.
        unsafe { &mut self.fd.get_kvm_run().__bindgen_anon_1.msr }.error = effect.is_none().into();
        Ok(match effect {
            Some(MsrEffect::ApicBase) => {
                let mut sregs = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
                sregs.apic_base = self.own.msr.apic_base;
                self.fd.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
                None
            }
            Some(MsrEffect::Apic(effect)) => self.apic_effect(effect),
            Some(MsrEffect::None | MsrEffect::Efer) | None => None,
        })
    }

    /// Whether the register is checked here and held by KVM: IA32_DEBUGCTL, if this KVM holds it.
    fn is_shared(&self, number: u32) -> bool {
        number == IA32_DEBUGCTL && self.machine.system.msrs.contains(&number)
    }

    /// A register that KVM holds.
    fn msr(&self, index: u32) -> Result<u64, EngineError> {
        let mut msrs = one(kvm_msr_entry { index, ..Default::default() })?;
        self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
        Ok(msrs.as_slice()[0].data)
    }

    fn set_msr(&self, index: u32, data: u64) -> Result<(), EngineError> {
        let msrs = one(kvm_msr_entry { index, data, ..Default::default() })?;
        self.fd.set_msrs(&msrs).map(|_| ()).map_err(failed("KVM_SET_MSRS"))
    }

    /// IA32_TSC_DEADLINE. The APIC reckons in nanoseconds, the counter in its own frequency.
    fn arm_deadline(&mut self, deadline: u64, now_ns: u64) -> Result<(), EngineError> {
        let tsc = self.msr(IA32_TIME_STAMP_COUNTER)?;
        let ticks = u128::from(deadline.saturating_sub(tsc));
        let per_second = u128::from(self.model.tsc_khz().max(1)) * 1000;
        let left_ns = (ticks * u128::from(TSC_HZ)).div_ceil(per_second);
        let left_ns = u64::try_from(left_ns).unwrap_or(u64::MAX);
        self.apic.set_tsc_deadline(deadline, deadline.saturating_sub(left_ns), now_ns);
        Ok(())
    }

    /// Acts on what the local APIC asks for. What the host is to know.
    pub(super) fn apic_effect(&mut self, effect: Effect) -> Option<Exit> {
        match effect {
            Effect::None => None,
            Effect::EndOfInterrupt(vector) => Some(Exit::EndOfInterrupt(vector)),
            Effect::Accepted(accepted) => {
                self.accepted(accepted);
                None
            }
            Effect::SendIpi(message) => {
                let accepted = self.apic.accept_own(message);
                self.accepted(accepted);
                Some(Exit::Ipi(message))
            }
        }
    }

    /// The local APIC has accepted a message.
    pub(super) fn accepted(&mut self, accepted: Accepted) {
        let done = match accepted {
            Accepted::Nmi => {
                self.nmi = true;
                Ok(())
            }
            Accepted::Init => self.read_state().and_then(|mut state| {
                state.init();
                self.apic.init();
                self.write_state(&state)?;
                self.reset = state.activity == Activity::Active;
                Ok(())
            }),
            Accepted::StartUp(vector) if self.own.activity == Activity::WaitForSipi => {
                self.read_state().and_then(|mut state| {
                    state.start_up(vector);
                    self.write_state(&state)
                })
            }
            Accepted::StartUp(_) | Accepted::Interrupt | Accepted::ExtInt | Accepted::Ignored => {
                Ok(())
            }
        };
        self.failed = self.failed.take().or(done.err());
    }
}

fn one(entry: kvm_msr_entry) -> Result<Msrs, EngineError> {
    Msrs::from_entries(&[entry])
        .map_err(|_| EngineError { operation: "list of a model-specific register", errno: 0 })
}

/// Whether KVM or the processor handles the register, so that a report of it is a refusal.
fn is_native(number: u32) -> bool {
    super::machine::NATIVE_MSRS.contains(&number)
}

//! What executes a guest, chosen by `--accel`: the core's interpreter or KVM. Nothing above this
//! folder knows which engine runs.

mod bus_lock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod kvm;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod lockstep;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use std::cell::RefCell;
use std::sync::Arc;

use monovisor_core::cpuid::{BASELINE, Model};
use monovisor_core::{Engine, Vcpu};

use crate::clock::VmClock;
use crate::config::{Accel, CpuModel, VmConfig};
use crate::memory::GuestRam;
use crate::vm::{MakeEngine, VmError};

/// Where a machine has a processor: what its engine is wired to.
pub struct Socket {
    /// The machine's RAM.
    pub ram: Arc<GuestRam>,
    /// The processor's time.
    pub clock: VmClock,
    /// The APIC ID; 0 is the bootstrap processor's.
    pub id: u32,
}

/// An engine, the name that reports call it by, and why it is this one.
pub struct Chosen {
    /// The name.
    pub name: &'static str,
    /// The reason, as words that follow a colon.
    pub reason: String,
    /// The engine.
    pub engine: Box<dyn Engine>,
}

/// Makes the engines of a machine's processors, the bootstrap processor's first, as `config` says.
/// They fail if it names an accelerator that is not there, or one that can't do what else it asks.
pub fn maker(config: &VmConfig) -> MakeEngine {
    let accel = config.accel;
    let beyond_kvm = beyond_kvm(config);
    let cpu = config.cpu;
    let interpreter = move |socket: &Socket, reason| interpreter(socket, reason, offered(cpu));
    let kvm = KvmMachine::new(cpu);
    Box::new(move |socket| match (accel, beyond_kvm) {
        (Accel::Interp, _) => Ok(interpreter(socket, "as --accel asks".to_owned())),
        (Accel::Kvm, Some((flag, why))) => Err(VmError::Accelerator(format!(
            "{flag} {why}; leave out one of {flag} and --accel kvm"
        ))),
        (Accel::Auto, Some((flag, why))) => Ok(interpreter(socket, format!("{flag} {why}"))),
        (Accel::Kvm, None) => match kvm.engine(socket, false) {
            Ok(engine) => Ok(Chosen { name: "kvm", reason: "as --accel asks".to_owned(), engine }),
            Err(why) => Err(VmError::Accelerator(format!(
                "KVM cannot be used: {why}; leave out --accel, or say --accel interp"
            ))),
        },
        (Accel::Auto, None) => Ok(match kvm.engine(socket, true) {
            Ok(engine) => {
                Chosen { name: "kvm", reason: "it passes its self-check".to_owned(), engine }
            }
            Err(why) if socket.id == 0 || !kvm.is_used() => interpreter(socket, why),
            Err(why) => return Err(VmError::Accelerator(why)),
        }),
    })
}

/// The flag that only the interpreter can follow, and why.
fn beyond_kvm(config: &VmConfig) -> Option<(&'static str, &'static str)> {
    const COUNTS: &str = "needs an engine that counts instructions, and KVM does not";
    match config {
        VmConfig { deterministic: true, .. } => Some(("--deterministic", COUNTS)),
        VmConfig { max_instructions: Some(_), .. } => Some(("--max-instructions", COUNTS)),
        _ => None,
    }
}

/// The processor that the guest is told of, on an engine that has everything.
pub fn offered(cpu: CpuModel) -> Model {
    match cpu {
        CpuModel::Host => Model::default(),
        CpuModel::Baseline => Model::default().masked(|feature| BASELINE.contains(feature)),
    }
}

fn interpreter(socket: &Socket, reason: String, model: Model) -> Chosen {
    let mut vcpu = Vcpu::new(socket.ram.clone(), Arc::new(socket.clock.clone()), socket.id);
    vcpu.set_model(model);
    if let Some(code) = socket.ram.shared_code() {
        vcpu.join(code);
        vcpu.allow_bus_lock(bus_lock::is_free());
    }
    Chosen { name: "interpreter", reason, engine: Box::new(vcpu) }
}

/// The machine of KVM's that the processors of one RAM share, or why there is none.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
struct KvmMachine {
    cpu: CpuModel,
    shared: RefCell<Option<Result<Arc<kvm::Machine>, String>>>,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl KvmMachine {
    fn new(cpu: CpuModel) -> Self {
        Self { cpu, shared: RefCell::default() }
    }

    /// A processor on KVM, the first one after a self-check if it is to be `checked`, or why KVM
    /// can't be used. A machine is on KVM with all its processors or with none.
    fn engine(&self, socket: &Socket, checked: bool) -> Result<Box<dyn Engine>, String> {
        let mut shared = self.shared.borrow_mut();
        if socket.id != 0
            && let Some(machine) = &*shared
        {
            let machine = machine.as_ref().map_err(String::clone)?;
            let vcpu = kvm::KvmVcpu::new(machine, &socket.clock, socket.id);
            return vcpu.map(|vcpu| Box::new(vcpu) as _).map_err(|why| why.to_string());
        }
        let trust = if checked { kvm::Trust::Checked } else { kvm::Trust::AsIs };
        match kvm::create(socket, offered(self.cpu), trust) {
            Ok((machine, vcpu)) => {
                *shared = Some(Ok(machine));
                Ok(Box::new(vcpu))
            }
            Err(why) => {
                *shared = Some(Err(why.to_string()));
                Err(why.to_string())
            }
        }
    }

    /// Whether a processor is on KVM.
    fn is_used(&self) -> bool {
        matches!(*self.shared.borrow(), Some(Ok(_)))
    }
}

/// Where there is no KVM.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
struct KvmMachine;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
impl KvmMachine {
    fn new(_: CpuModel) -> Self {
        Self
    }

    fn engine(&self, _: &Socket, _checked: bool) -> Result<Box<dyn Engine>, String> {
        Err("it runs x86-64 guests on x86-64 Linux alone".to_owned())
    }

    fn is_used(&self) -> bool {
        false
    }
}

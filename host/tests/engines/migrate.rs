//! A running guest that moves between the engines, at whatever instruction it has come to, ends with
//! the same output as one that stays.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monovisor::config::{EntryMode, Flat, SerialTarget, VmConfig};
use monovisor::engine::{Chosen, Socket, kvm};
use monovisor::outcome::Outcome;
use monovisor::run_loop;
use monovisor::vm::{Vm, VmError};
use monovisor_core::cpuid::Model;
use monovisor_core::{Engine, Vcpu};

use crate::wanderer::Wanderer;
use crate::{guest, has_kvm};

type Make = Box<dyn Fn(&Socket) -> Result<Box<dyn Engine>, VmError>>;

fn interpreter(socket: &Socket) -> Box<dyn Engine> {
    Box::new(Vcpu::new(socket.ram.clone(), Arc::new(socket.clock.clone()), socket.id))
}

fn on_kvm(socket: &Socket) -> Result<Box<dyn Engine>, VmError> {
    let made = kvm::create(socket, Model::default(), kvm::Trust::AsIs);
    made.map(|made| Box::new(made.1) as _).map_err(|why| VmError::Accelerator(why.to_string()))
}

/// Runs the wandering guest on what `make` makes. How it ended and what it said.
fn run(directory: &Path, make: Make) -> (Outcome, String) {
    let (image, serial) = (directory.join("image"), directory.join("serial"));
    fs::write(&image, guest::wandering()).expect("a file");
    let load_address = 0x20_0000;
    let config = VmConfig {
        image,
        memory_bytes: 16 << 20,
        timeout: Some(Duration::from_secs(60)),
        serial: SerialTarget::File(serial.clone()),
        flat: Some(Flat { load_address, entry: load_address, mode: EntryMode::Long }),
        ..VmConfig::default()
    };
    let chosen =
        move |socket: &_| Ok(Chosen { name: "test", reason: String::new(), engine: make(socket)? });
    let mut vm = Vm::with_engine(&config, Box::new(chosen)).expect("a machine");
    let outcome = run_loop::run(&mut vm).expect("a run");
    if outcome != Outcome::Exited(33) {
        let log: Vec<_> = vm.fault_log(0).into_iter().flat_map(|log| log.iter().copied()).collect();
        eprintln!("{outcome}: {:x?}, {log:x?}", vm.engine(0).map(|engine| engine.state()));
    }
    (outcome, fs::read_to_string(serial).expect("the guest's output"))
}

#[test]
fn a_guest_that_moves_between_engines_ends_like_one_that_stays() {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path();
    let stayed = run(path, Box::new(|socket| Ok(interpreter(socket))));
    assert_eq!(stayed.0, Outcome::Exited(33), "{}", stayed.1);
    if !has_kvm() {
        return;
    }
    assert_eq!(run(path, Box::new(on_kvm)), stayed, "all of it on KVM");
    for seed in 0..4 {
        let moves = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&moves);
        let make = move |socket: &Socket| {
            let engines = [interpreter(socket), on_kvm(socket)?];
            let (clock, counter) = (socket.clock.clone(), Arc::clone(&counted));
            Ok(Box::new(Wanderer::new(engines, clock, seed, counter)) as Box<dyn Engine>)
        };
        assert_eq!(run(path, Box::new(make)), stayed, "seed {seed}");
        let moves = moves.load(Ordering::Relaxed);
        assert!(moves > 100, "the guest has moved {moves} times only");
    }
}

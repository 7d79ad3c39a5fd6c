//! The comparison's `cpu` and `memory` in a guest whose Rust is all in user mode, for a KVM that runs
//! nothing else at the processor's speed, and no SSE in kernel mode at all. Command line as for `work`.

//@ flags: --memory 256M
//@ stdout-contains: {"name":"cpu","events":
//@ stdout-contains: {"name":"memory.write.random.64K","events":
//@ qemu: differs: what it prints are times

#![no_std]
#![no_main]

use guest_tests::clock::Clock;
use guest_tests::workload::{self, Disk, Effort, Machine, Operation};
use guest_tests::{bench, boot_info, println};

guest_tests::entry!(main, pvh_in_user_mode);

/// What needs neither threads nor devices.
const WORKLOADS: [&str; 2] = ["cpu", "memory"];

fn main() {
    let line = boot_info().command_line();
    let chosen = line.split_whitespace().find_map(|word| word.strip_prefix("run="));
    let effort = Effort { duration_ns: bench::argument("ms", 4) * 1_000_000, threads: 1 };
    let machine = UserMode(Clock::calibrate());
    for name in WORKLOADS {
        if chosen.is_none_or(|chosen| chosen.split(',').any(|one| one == name)) {
            let reports = workload::run(name, &machine, effort).expect("a workload of the list");
            reports.iter().for_each(|report| println!("{report}"));
        }
    }
}

/// This machine, by the time that it tells.
struct UserMode(Clock);

impl Machine for UserMode {
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn in_user_mode(&self, body: &mut dyn FnMut()) {
        body();
    }

    fn in_parallel(&self, threads: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..threads).for_each(body);
    }

    fn yield_now(&self) {}

    fn disk(&self) -> Option<&dyn Disk> {
        None
    }

    fn perform(&self, _: Operation, _: u64) -> Option<u64> {
        None
    }
}

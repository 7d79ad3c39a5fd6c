//! Monovisor's gate. The epoch of the code cache is checked again in the section.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use monovisor_core::exclusive::Outside;

use crate::contender::{Contender, Step, Vcpu};
use crate::threads::Threads;

/// See the module.
pub struct Gated;

pub struct GatedVcpu {
    place: Outside,
    threads: Arc<Threads>,
    epoch: Arc<AtomicU64>,
}

impl Contender for Gated {
    const NAME: &'static str = "gate";
    type Vcpu = GatedVcpu;

    fn vcpus(count: usize) -> Vec<GatedVcpu> {
        let (threads, gate) = Threads::with_gate(count);
        let epoch = Arc::new(AtomicU64::new(0));
        let places = (0..count).filter_map(|slot| gate.claim(slot));
        places
            .map(|place| GatedVcpu { place, threads: threads.clone(), epoch: epoch.clone() })
            .collect()
    }
}

impl Vcpu for GatedVcpu {
    fn attach(&mut self) {
        self.threads.attach(self.place.slot());
    }

    #[inline]
    fn pass(&mut self) {
        drop(self.place.enter());
    }

    fn execute(&mut self, mut slice: impl FnMut() -> bool) {
        let mut inside = self.place.enter();
        while slice() {
            if inside.poll() {
                inside.pause();
            }
        }
    }

    fn step_exclusive(&mut self, mut look_up: impl FnMut(), mut step: impl FnMut()) -> Step {
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            look_up();
            let requested = Instant::now();
            let section = self.place.open();
            let granted = Instant::now();
            if self.epoch.load(Ordering::Acquire) == epoch {
                step();
                let ended = Instant::now();
                drop(section);
                return Step::new([requested, granted, ended]);
            }
        }
    }
}

//! What other threads have done at a running machine: they look at all its processors at one instant,
//! act on one of them, or write to its RAM while none executes.
//!
//! Whoever asks is an owner of sections like any other, and has the processors' own threads do what
//! needs an engine, by work that is queued for them. A loop whose processors share its thread serves
//! that work between their turns, when none executes anyway.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use monovisor_core::exclusive::{Gate, Outside, Work};
use monovisor_core::{CpuState, Delivery, Engine, EngineError};

use super::Threads;
use crate::memory::{GuestRam, MemoryError};

/// Places at the gate behind those of the processors: of whoever ends the run, and of whoever asks.
pub const OTHERS: usize = 2;

/// A machine as other threads reach it while it runs.
pub struct Control {
    threads: Arc<Threads>,
    work: Work<dyn Engine>,
    /// The place of whoever asks, one thread after the other; gone when the run is over.
    asker: Mutex<Option<Outside>>,
    processors: usize,
    ram: Arc<GuestRam>,
}

/// The places at the gate that a run hands out.
pub struct Places {
    pub processors: Vec<Outside>,
    /// For whoever ends the run.
    pub ender: Outside,
}

/// A machine as it was at one instant.
#[derive(Clone, Debug)]
pub struct Look {
    /// What its processors were at, by their numbers.
    pub processors: Vec<Seen>,
    /// Its RAM, which does not stand still.
    pub ram: Arc<GuestRam>,
}

/// What a processor was seen at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its state.
    pub state: CpuState,
    /// The last exceptions that were delivered to it, oldest first; none where the engine keeps none.
    pub deliveries: Vec<Delivery>,
    /// Instructions that it has retired, where the engine counts them.
    pub instructions: Option<u64>,
}

impl Control {
    /// A gate for the processors of a machine with this RAM, reached by `threads`, which has [`OTHERS`]
    /// behind them.
    ///
    /// # Errors
    /// A place is taken.
    pub fn new(
        processors: usize,
        threads: Arc<Threads>,
        ram: Arc<GuestRam>,
    ) -> Result<(Arc<Self>, Places), EngineError> {
        let gate = Gate::new(processors + OTHERS, threads.clone());
        let work = Work::new(gate.clone());
        let claim = |slot| {
            gate.claim(slot)
                .ok_or(EngineError { operation: "claim of a place at the gate", errno: 0 })
        };
        let places: Vec<Outside> = (0..processors).map(claim).collect::<Result<_, _>>()?;
        let (ender, asker) = (claim(processors)?, claim(processors + 1)?);
        // Nobody serves these.
        for place in [&ender, &asker] {
            work.end(place);
        }
        let control = Self { threads, work, asker: Mutex::new(Some(asker)), processors, ram };
        Ok((Arc::new(control), Places { processors: places, ender }))
    }

    /// What all processors are at, by their numbers, at one instant: none of them executes between the
    /// first and the last look. None if the run ends meanwhile.
    pub fn look(&self) -> Option<Look> {
        let (sender, seen) = mpsc::channel();
        {
            let mut asker = self.asker();
            let _section = asker.as_mut()?.open();
            // What is posted in a section is done before any of them executes on.
            self.work.post_all(move |engine: &mut (dyn Engine + 'static)| {
                let _ = sender.send((engine.local_apic().id(), Seen::at(engine)));
            });
        }
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_by_key(|(id, _)| *id);
        let processors: Vec<Seen> = seen.into_iter().filter_map(|(_, seen)| seen).collect();
        let complete = processors.len() == self.processors;
        complete.then(|| Look { processors, ram: self.ram.clone() })
    }

    /// Has `act` done on the engine of one processor, between two of its instructions, while the
    /// others go on. None if there is no such processor, or if the run ends before.
    pub fn with_engine<R: Send + 'static>(
        &self,
        processor: usize,
        act: impl FnOnce(&mut dyn Engine) -> R + Send + 'static,
    ) -> Option<R> {
        let mut asker = self.asker();
        self.work.call(asker.as_mut()?, processor, move |engine| act(engine), |_| ())
    }

    /// Writes `bytes` to guest-physical `address` while no processor executes, so that none sees half
    /// of them, and none executes what was there before. None if the run ends before.
    pub fn write(&self, address: u64, bytes: Vec<u8>) -> Option<Result<(), MemoryError>> {
        let (sender, result) = mpsc::channel();
        let ram = self.ram.clone();
        self.work.post_exclusive(0, move |engine: &mut (dyn Engine + 'static), section| {
            let written = ram.write(address, &bytes);
            if written.is_ok() {
                // The other interpreters are told; this one may be alone, or KVM's with all others.
                ram.written(address, bytes.len() as u64);
                engine.forget_code_within(section);
            }
            let _ = sender.send(written);
        });
        result.recv().ok()
    }

    /// Whether something is to be done by a processor: one load.
    #[inline]
    pub fn waits_for(&self, processor: usize) -> bool {
        self.work.waits_for(processor)
    }

    /// Does what waits for the processor that has `place`; on its thread, while its engine does not
    /// execute.
    #[cold]
    pub fn serve(&self, place: &mut Outside, engine: &mut (dyn Engine + 'static)) {
        self.work.serve(place, engine);
    }

    /// The processor that has `place` serves no more.
    pub fn end(&self, place: &Outside) {
        self.work.end(place);
    }

    /// The run is over: nobody can ask any more.
    pub fn close(&self) {
        *self.asker() = None;
    }

    /// The asker's place, for the current thread alone.
    fn asker(&self) -> MutexGuard<'_, Option<Outside>> {
        let asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*asker {
            self.threads.attach(place.slot());
        }
        asker
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processors, .. } = self;
        formatter.debug_struct("Control").field("processors", processors).finish_non_exhaustive()
    }
}

impl Seen {
    fn at(engine: &mut dyn Engine) -> Option<Self> {
        let state = engine.state().ok()?;
        let deliveries = engine.fault_log().into_iter().flat_map(|log| log.iter()).copied();
        Some(Self { state, deliveries: deliveries.collect(), instructions: engine.instructions() })
    }
}

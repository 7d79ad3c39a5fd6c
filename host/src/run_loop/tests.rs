//! The run loop with engines that play scripts and remember what they were given. What several of
//! them do together is in `several`.

mod several;

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monovisor_core::apic::{LocalApic, Message};
use monovisor_core::exclusive::Outside;
use monovisor_core::state::{Activity, RFlags};
use monovisor_core::{Access, CpuState, Engine, EngineError, Exit, Kick, Space};
use tempfile::{NamedTempFile, TempDir};

use super::*;
use crate::config::{Flat, SerialTarget, VmConfig};
use crate::engine::Chosen;

/// What the scripted guest does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Executes this many instructions, in as many runs as it takes.
    Compute(u64),
    /// Writes a byte to a port.
    Out(u16, u8),
    /// Leaves with this.
    Leave(Exit),
    /// Sets or clears IF.
    Interrupts(bool),
    /// Sets the local APIC's entry for its timer, in TSC-deadline mode, and the deadline.
    Timer(u32, u64),
    /// Sets the local APIC's entry for the pin that the PIC is at.
    Lint0(u32),
    /// Begins the handling of an NMI.
    EnterNmi,
    /// Halts until something is delivered.
    Halt,
}

/// What the engine was given, with the instructions retired until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Vector(u8, u64),
    Answer(u64),
    Message(u8),
}

#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    given: Vec<Given>,
    engines: usize,
    /// How many instructions more than its budget the engine executes, unless it is 1.
    overshoot: u64,
}

struct Scripted {
    script: Arc<Mutex<Script>>,
    state: CpuState,
    apic: LocalApic,
    retired: u64,
    window: bool,
    halted: bool,
    /// A message has come that ends the next halt.
    message: bool,
    kick: Kick,
    place: Option<Outside>,
}

impl Scripted {
    fn interrupts(&self) -> bool {
        self.state.rflags.contains(RFlags::INTERRUPT_FLAG)
    }

    fn give(&mut self, given: Given) {
        self.halted = false;
        self.script.lock().unwrap().given.push(given);
    }
}

impl Engine for Scripted {
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError> {
        assert!(budget > 0, "a budget of nothing makes no progress");
        if self.kick.take() {
            return Ok(Exit::Kicked);
        }
        if self.window && self.interrupts() {
            return Ok(Exit::InterruptWindow);
        }
        if self.halted {
            return Ok(Exit::Halted);
        }
        let mut script = self.script.lock().unwrap();
        let mut left = budget;
        loop {
            let budget_left = left;
            let mut retire = |instructions: u64| {
                self.retired += instructions;
                left = left.saturating_sub(instructions);
            };
            match script.steps.pop_front().unwrap_or(Step::Compute(u64::MAX)) {
                Step::Compute(instructions) => {
                    let overshoot = if budget > 1 { script.overshoot } else { 0 };
                    let retired = instructions.min(budget_left + overshoot);
                    retire(retired);
                    if instructions > retired {
                        script.steps.push_front(Step::Compute(instructions - retired));
                    }
                }
                Step::Out(port, value) => {
                    retire(1);
                    let access = Access { space: Space::Port, address: port.into(), size: 1 };
                    return Ok(Exit::Write(access, value.into()));
                }
                Step::Leave(exit) => return Ok(exit),
                Step::Interrupts(on) => {
                    retire(1);
                    self.state.rflags.set(RFlags::INTERRUPT_FLAG, on);
                    if on && self.window {
                        return Ok(Exit::InterruptWindow);
                    }
                }
                Step::Timer(entry, deadline) => {
                    retire(1);
                    let _ = self.apic.write(0xf0, 0x1ff, 0);
                    let _ = self.apic.write(0x320, entry | 2 << 17, 0);
                    self.apic.set_tsc_deadline(deadline, 0, 0);
                }
                Step::Lint0(entry) => {
                    retire(1);
                    let _ = self.apic.write(0xf0, 0x1ff, 0);
                    let _ = self.apic.write(0x350, entry, 0);
                }
                Step::EnterNmi => {
                    retire(1);
                    self.state.shadow.nmi = true;
                }
                Step::Halt => {
                    retire(1);
                    if std::mem::take(&mut self.message) {
                        continue;
                    }
                    self.halted = true;
                    return Ok(Exit::Halted);
                }
            }
            if left == 0 {
                return Ok(Exit::Budget);
            }
        }
    }

    fn answer(&mut self, data: u64) {
        self.give(Given::Answer(data));
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        let activity = if self.halted { Activity::Halted } else { Activity::Active };
        Ok(CpuState { activity, ..self.state.clone() })
    }

    fn set_state(&mut self, _state: &CpuState) -> Result<(), EngineError> {
        Ok(())
    }

    fn local_apic(&self) -> &LocalApic {
        &self.apic
    }

    fn set_local_apic(&mut self, apic: &LocalApic) {
        self.apic.clone_from(apic);
    }

    fn interruptible(&self) -> bool {
        self.interrupts()
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.window = wanted;
    }

    fn inject(&mut self, vector: u8) {
        assert!(self.interruptible(), "injected while interrupts are off");
        self.give(Given::Vector(vector, self.retired));
    }

    fn inject_nmi(&mut self) {}

    fn accepts_pic(&self) -> bool {
        self.apic.accepts_pic()
    }

    fn deliver(&mut self, message: Message) {
        self.message = !self.halted;
        self.give(Given::Message(message.vector));
    }

    fn next_timer_ns(&self) -> Option<u64> {
        self.apic.next_timer_ns()
    }

    fn instructions(&self) -> Option<u64> {
        Some(self.retired)
    }

    /// Each of its instructions is over at once, so it need not be inside.
    fn take_place(&mut self, place: Outside) {
        self.place = Some(place);
    }

    fn leave_place(&mut self) -> Option<Outside> {
        self.place.take()
    }

    fn kick_handle(&self) -> Kick {
        self.kick.clone()
    }
}

/// A machine for `steps`; a guest that runs out of them computes for ever.
struct Machine {
    vm: Vm,
    /// The bootstrap processor's.
    script: Arc<Mutex<Script>>,
    /// All processors'.
    scripts: Vec<Arc<Mutex<Script>>>,
    _image: NamedTempFile,
}

impl Machine {
    fn new(steps: &[Step], change: impl FnOnce(&mut VmConfig)) -> Self {
        Self::several(&[steps], change)
    }

    /// A machine with a processor for each of `scripts`.
    fn several(scripts: &[&[Step]], change: impl FnOnce(&mut VmConfig)) -> Self {
        let image = NamedTempFile::new().expect("a temporary file");
        fs::write(image.path(), [0xf4]).expect("room");
        let mut config = VmConfig {
            image: image.path().into(),
            flat: Some("0x7c00:real".parse::<Flat>().expect("an address")),
            serial: SerialTarget::Null,
            deterministic: true,
            max_instructions: Some(10_000_000),
            cpus: scripts.len() as u32,
            ..VmConfig::default()
        };
        change(&mut config);
        let script = |steps: &&[Step]| {
            let steps = steps.iter().copied().collect();
            Arc::new(Mutex::new(Script { steps, ..Script::default() }))
        };
        let scripts: Vec<_> = scripts.iter().map(script).collect();
        let shared = scripts.clone();
        let vm = Vm::with_engine(
            &config,
            Box::new(move |socket| {
                let script = &shared[socket.id as usize];
                script.lock().unwrap().engines += 1;
                let engine = Box::new(Scripted {
                    script: Arc::clone(script),
                    state: CpuState::reset(socket.id),
                    apic: LocalApic::new(socket.id),
                    retired: 0,
                    window: false,
                    halted: false,
                    message: false,
                    kick: Kick::default(),
                    place: None,
                });
                Ok(Chosen { name: "script", reason: "it is a test".to_owned(), engine })
            }),
        )
        .expect("a machine");
        Self { vm, script: scripts[0].clone(), scripts, _image: image }
    }

    fn run(&mut self) -> Outcome {
        run(&mut self.vm).expect("no failure of the host")
    }

    fn given(&self) -> Vec<Given> {
        self.script.lock().unwrap().given.clone()
    }
}

fn outcome(steps: &[Step], change: impl FnOnce(&mut VmConfig)) -> Outcome {
    Machine::new(steps, change).run()
}

/// Vectors from 0x20 on, everything unmasked.
const PIC: [Step; 10] = [
    Step::Out(0x20, 0x11),
    Step::Out(0x21, 0x20),
    Step::Out(0x21, 0x04),
    Step::Out(0x21, 0x01),
    Step::Out(0x21, 0x00),
    Step::Out(0xa0, 0x11),
    Step::Out(0xa1, 0x28),
    Step::Out(0xa1, 0x02),
    Step::Out(0xa1, 0x01),
    Step::Out(0xa1, 0x00),
];

/// Channel 0, mode 0: one interrupt after 0x400 ticks, 858 µs.
const ONE_SHOT: [Step; 3] = [Step::Out(0x43, 0x30), Step::Out(0x40, 0x00), Step::Out(0x40, 0x04)];
const ONE_SHOT_NS: u64 = (0x400 + 1) * 1_000_000_000 / 1_193_182;

const EXIT: Step = Step::Out(0xf4, 0x10);

#[test]
fn signals_of_devices_become_outcomes() {
    let wide = |address, value| {
        Step::Leave(Exit::Write(Access { space: Space::Port, address, size: 2 }, value))
    };
    for (step, expected) in [
        (EXIT, Outcome::Exited(33)),
        (Step::Out(0xf4, 0xff), Outcome::Exited(0xff)),
        (wide(0x604, 0x2000), Outcome::PoweredOff),
        (wide(0xb004, 0x2000), Outcome::PoweredOff),
        (Step::Out(0x64, 0xfe), Outcome::Reset { cause: "the keyboard controller" }),
        (Step::Leave(Exit::TripleFault), Outcome::TripleFault),
    ] {
        assert_eq!(outcome(&[Step::Compute(5), step], |_| {}), expected);
    }
    let raw = |config: &mut VmConfig| config.debug_exit = DebugExit::Raw;
    assert_eq!(outcome(&[Step::Out(0xf4, 0)], raw), Outcome::Exited(0));
}

#[test]
fn reads_are_answered_and_unclaimed_ones_read_ones() {
    let read =
        |address, size| Step::Leave(Exit::Read(Access { space: Space::Port, address, size }));
    let mut machine = Machine::new(&[read(0xe9, 1), read(0x300, 2), EXIT], |_| {});
    machine.run();
    assert_eq!(machine.given(), [Given::Answer(0xe9), Given::Answer(0xffff)]);
    assert_eq!(machine.vm.bus().unclaimed().len(), 1);
}

#[test]
fn limits_end_the_run() {
    let time = |config: &mut VmConfig| {
        config.max_instructions = None;
        config.timeout = Some(Duration::from_millis(3));
    };
    assert_eq!(outcome(&[], time), Outcome::TimeLimit);
    let for_ever = |config: &mut VmConfig| config.timeout = Some(Duration::MAX);
    assert_eq!(outcome(&[EXIT], for_ever), Outcome::Exited(33));
    let sleeping =
        [PIC.as_slice(), &[Step::Interrupts(true), Step::Out(0x3f9, 1), Step::Halt]].concat();
    let asleep = |config: &mut VmConfig| {
        time(config);
        config.deterministic = false;
    };
    // A timer that is far away: midnight's alarm.
    let alarm = [Step::Out(0x70, 0x0b), Step::Out(0x71, 0x22)];
    assert_eq!(outcome(&[&alarm, sleeping.as_slice()].concat(), asleep), Outcome::TimeLimit);
}

#[test]
fn accesses_that_retire_nothing_do_not_escape_the_limits() {
    let access = Access { space: Space::Port, address: 0x80, size: 1 };
    let string = vec![Step::Leave(Exit::Write(access, 0)); 3_000_000];
    let limited = |config: &mut VmConfig| config.timeout = Some(Duration::from_millis(3));
    assert_eq!(outcome(&string, limited), Outcome::TimeLimit);
}

#[test]
fn the_limit_of_instructions_is_exact_although_the_engine_overshoots() {
    for (limit, overshoot) in [(1, 0), (100, 50), (300, 50), (1_000_000, 255), (1_234_567, 17)] {
        let mut machine = Machine::new(&[], |config| config.max_instructions = Some(limit));
        machine.script.lock().unwrap().overshoot = overshoot;
        assert_eq!(machine.run(), Outcome::InstructionLimit);
        assert_eq!(machine.vm.instructions(), Some(limit));
    }
}

#[test]
fn a_timer_interrupt_comes_at_its_instruction() {
    let steps =
        [&PIC, [Step::Interrupts(true)].as_slice(), &ONE_SHOT, &[Step::Compute(2_000_000), EXIT]];
    let mut machine = Machine::new(&steps.concat(), |_| {});
    assert_eq!(machine.run(), Outcome::Exited(33));
    let [Given::Vector(0x20, at)] = machine.given()[..] else { panic!("{:?}", machine.given()) };
    let written = (PIC.len() + 1 + ONE_SHOT.len()) as u64;
    // The count starts with the next tick, which is up to 838 ns away.
    assert!((written..written + 900).contains(&(at - ONE_SHOT_NS + 838)), "at {at}");
}

#[test]
fn a_timer_interrupt_comes_at_its_instruction_although_the_engine_overshoots() {
    let run = |overshoot| {
        let steps = [
            &PIC,
            [Step::Interrupts(true)].as_slice(),
            &ONE_SHOT,
            &[Step::Compute(2_000_000), EXIT],
        ];
        let mut machine = Machine::new(&steps.concat(), |_| {});
        machine.script.lock().unwrap().overshoot = overshoot;
        assert_eq!(machine.run(), Outcome::Exited(33));
        machine.given()
    };
    let exact = run(0);
    for overshoot in [1, 17, 255] {
        assert_eq!(run(overshoot), exact, "{overshoot}");
    }
}

#[test]
fn deterministic_runs_repeat() {
    let steps = [
        &PIC,
        [Step::Interrupts(true)].as_slice(),
        &ONE_SHOT,
        &[Step::Halt, Step::Compute(999), EXIT],
    ];
    let steps = steps.concat();
    let run = || {
        let mut machine = Machine::new(&steps, |_| {});
        machine.run();
        (machine.given(), machine.vm.instructions())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_halted_guest_sleeps_until_its_timer() {
    for deterministic in [true, false] {
        let steps =
            [&PIC, [Step::Interrupts(true)].as_slice(), &ONE_SHOT, &[Step::Halt, EXIT]].concat();
        let mut machine = Machine::new(&steps, |config| config.deterministic = deterministic);
        assert_eq!(machine.run(), Outcome::Exited(33));
        assert!(matches!(machine.given()[..], [Given::Vector(0x20, _)]), "{:?}", machine.given());
        assert_eq!(machine.vm.instructions(), Some(steps.len() as u64), "sleep retires nothing");
        if !deterministic {
            assert!(machine.vm.wall_time() >= Duration::from_nanos(ONE_SHOT_NS));
        }
    }
}

#[test]
fn a_guest_that_nothing_can_wake_has_halted_for_ever() {
    let timer =
        |on| [&PIC, [Step::Interrupts(on)].as_slice(), &ONE_SHOT, &[Step::Halt, EXIT]].concat();
    assert_eq!(outcome(&[Step::Halt], |_| {}), Outcome::HaltedForever);
    assert_eq!(outcome(&[Step::Interrupts(true), Step::Halt], |_| {}), Outcome::HaltedForever);
    assert_eq!(outcome(&timer(false), |_| {}), Outcome::HaltedForever);
    assert_eq!(outcome(&timer(true), |_| {}), Outcome::Exited(33));
}

#[test]
fn what_no_flag_holds_back_may_wake_a_guest() {
    /// What LINT0 makes of the PIC's output: an interrupt, an NMI, INIT; and nothing.
    const FIXED: u32 = 0x30;
    const NMI: u32 = 0x400;
    const INIT: u32 = 0x500;
    const MASKED: u32 = 1 << 16;
    let asleep = |before: &[Step], lint0| {
        let pin = [Step::Lint0(lint0)];
        let steps = [&PIC, pin.as_slice(), before, &ONE_SHOT, &[Step::Halt, EXIT]].concat();
        outcome(&steps, |config| config.deterministic = true)
    };
    for lint0 in [FIXED, NMI | MASKED] {
        assert_eq!(asleep(&[], lint0), Outcome::HaltedForever, "{lint0:#x}");
    }
    for lint0 in [NMI, INIT] {
        assert_eq!(asleep(&[], lint0), Outcome::Exited(33), "{lint0:#x}");
    }
    assert_eq!(asleep(&[Step::EnterNmi], NMI), Outcome::HaltedForever, "in the handler of another");
}

#[test]
fn an_interrupt_waits_for_its_window() {
    let steps = [
        &PIC,
        ONE_SHOT.as_slice(),
        &[Step::Compute(3_000_000), Step::Interrupts(true), Step::Compute(10), EXIT],
    ];
    let mut machine = Machine::new(&steps.concat(), |_| {});
    assert_eq!(machine.run(), Outcome::Exited(33));
    let opened = (PIC.len() + ONE_SHOT.len()) as u64 + 3_000_000 + 1;
    assert_eq!(machine.given(), [Given::Vector(0x20, opened)]);
}

#[test]
fn the_io_apic_sends_messages() {
    let memory = |address, value| {
        Step::Leave(Exit::Write(Access { space: Space::Memory, address, size: 4 }, value))
    };
    let select = 0x10 + 2 * 2;
    let entry = [memory(0xfec0_0000, select), memory(0xfec0_0010, 0x30)];
    let steps = [entry.as_slice(), &ONE_SHOT, &[Step::Compute(2_000_000), EXIT]].concat();
    let mut machine = Machine::new(&steps, |_| {});
    machine.run();
    assert_eq!(machine.given(), [Given::Message(0x30)]);
}

#[test]
fn a_reset_ends_the_run_or_starts_anew() {
    for exit in [Step::Out(0x64, 0xfe), Step::Leave(Exit::TripleFault)] {
        let steps = [Step::Compute(1000), exit, Step::Compute(500), EXIT];
        let mut machine = Machine::new(&steps, |config| config.reboot = true);
        assert_eq!(machine.run(), Outcome::Exited(33));
        assert_eq!(machine.script.lock().unwrap().engines, 2);
        assert!(machine.vm.instructions() >= Some(1501), "{:?}", machine.vm.instructions());
    }
}

#[test]
fn other_threads_stop_a_machine_that_runs_or_sleeps() {
    let asleep = [Step::Interrupts(true), Step::Out(0x70, 0x0b), Step::Out(0x71, 0x22), Step::Halt];
    for steps in [&asleep[..], &[]] {
        let mut machine = Machine::new(steps, |config| {
            config.deterministic = false;
            config.max_instructions = None;
        });
        let remote = machine.vm.remote();
        let stopper = std::thread::spawn(move || remote.stop(15));
        assert_eq!(machine.run(), Outcome::Interrupted { signal: 15 });
        stopper.join().expect("no panic");
    }
}

#[test]
fn output_is_complete_when_the_run_ends() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("serial");
    let steps: Vec<_> = b"hello".iter().map(|&byte| Step::Out(0x3f8, byte)).collect();
    for last in [EXIT, Step::Halt, Step::Leave(Exit::TripleFault)] {
        outcome(&[steps.as_slice(), &[last]].concat(), |config| {
            config.serial = SerialTarget::File(path.clone());
        });
        assert_eq!(fs::read(&path).expect("written"), b"hello");
    }
}

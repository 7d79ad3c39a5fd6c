//! Several processors, each with a script of its own: on threads, and in turns.

use monovisor_core::apic::{DeliveryMode, Destination, Trigger};

use super::*;

fn ipi(destination: Destination) -> Step {
    let mode = DeliveryMode::Fixed;
    Step::Leave(Exit::Ipi(Message { destination, mode, vector: 0x55, trigger: Trigger::Edge }))
}

/// Runs the scripts in turns and on threads; both must come to the same end, by the same processor.
fn both(
    scripts: &[&[Step]],
    change: impl Fn(&mut VmConfig),
) -> ((Outcome, Option<usize>), [Machine; 2]) {
    let mut machines = [true, false].map(|deterministic| {
        Machine::several(scripts, |config| {
            config.deterministic = deterministic;
            change(config);
        })
    });
    let [turns, threads] =
        machines.each_mut().map(|machine| (machine.run(), machine.vm.ended_by()));
    assert_eq!(turns, threads);
    (turns, machines)
}

/// The end that both come to.
fn end(scripts: &[&[Step]], change: impl Fn(&mut VmConfig)) -> (Outcome, Option<usize>) {
    both(scripts, change).0
}

#[test]
fn an_interrupt_from_one_processor_wakes_another() {
    let sleeper = [Step::Interrupts(true), Step::Halt, EXIT];
    for (destination, wakes) in [
        (Destination::Physical(1), true),
        (Destination::Others, true),
        (Destination::All, true),
        (Destination::Physical(2), false),
    ] {
        let sender = [Step::Compute(5000), ipi(destination), Step::Halt];
        for machine in both(&[&sender, &sleeper], |_| {}).1 {
            let given = machine.scripts[1].lock().unwrap().given.clone();
            assert_eq!(given, if wakes { vec![Given::Message(0x55)] } else { vec![] });
            assert_eq!(machine.given(), [], "the sender has taken its own already");
            assert_eq!(machine.vm.ended_by(), wakes.then_some(1));
        }
    }
}

#[test]
fn any_processor_ends_the_run() {
    let dies = [Step::Compute(3000), Step::Leave(Exit::TripleFault)];
    let unlimited = |config: &mut VmConfig| config.max_instructions = None;
    assert_eq!(end(&[&[], &[], &dies], unlimited), (Outcome::TripleFault, Some(2)));
    let exits = [Step::Compute(3000), EXIT];
    assert_eq!(end(&[&[Step::Halt], &exits], unlimited), (Outcome::Exited(33), Some(1)));
}

#[test]
fn limits_end_all_of_them() {
    let time = |config: &mut VmConfig| {
        config.max_instructions = None;
        config.timeout = Some(Duration::from_millis(3));
    };
    assert_eq!(end(&[&[], &[], &[]], time), (Outcome::TimeLimit, None));
    let count = |config: &mut VmConfig| config.max_instructions = Some(1_234_567);
    for machine in both(&[&[], &[], &[]], count).1 {
        let retired = machine.vm.instructions();
        if machine.vm.config().deterministic {
            assert_eq!(retired, Some(1_234_567), "exactly, in turns");
        }
        assert!(retired >= Some(1_234_567));
    }
}

#[test]
fn a_device_wakes_a_processor_when_all_sleep() {
    let first =
        [&PIC, [Step::Interrupts(true)].as_slice(), &ONE_SHOT, &[Step::Halt, EXIT]].concat();
    for machine in both(&[&first, &[Step::Halt], &[Step::Halt]], |_| {}).1 {
        assert!(matches!(machine.given()[..], [Given::Vector(0x20, _)]), "{:?}", machine.given());
        assert_eq!(machine.vm.ended_by(), Some(0));
    }
}

#[test]
fn processors_that_nothing_can_wake_have_halted_for_ever() {
    let sleep = [Step::Interrupts(true), Step::Halt];
    assert_eq!(end(&[&[Step::Halt], &sleep], |_| {}), (Outcome::HaltedForever, None));
}

#[test]
fn a_timer_that_is_masked_or_never_due_wakes_nobody() {
    for timer in [
        Step::Timer(1 << 16 | 0x40, 1000),
        Step::Timer(0x40, u64::MAX),
        Step::Timer(0x40, u64::MAX - 1),
    ] {
        let sleep = [timer, Step::Interrupts(true), Step::Halt];
        assert_eq!(outcome(&sleep, |_| {}), Outcome::HaltedForever, "{timer:?}");
        let together = end(&[&sleep, &sleep], |_| {});
        assert_eq!(together, (Outcome::HaltedForever, None), "{timer:?}");
    }
}

#[test]
fn turns_repeat() {
    let sender = [Step::Compute(12_345), ipi(Destination::Others), Step::Compute(777), Step::Halt];
    let receiver = [Step::Interrupts(true), Step::Halt, Step::Compute(4321), EXIT];
    let run = || {
        let mut machine = Machine::several(&[&sender, &receiver, &[]], |_| {});
        let outcome = machine.run();
        let given: Vec<_> =
            machine.scripts.iter().map(|script| script.lock().unwrap().given.clone()).collect();
        (outcome, given, machine.vm.instructions())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_reset_makes_all_of_them_anew() {
    let first = [Step::Compute(10), Step::Leave(Exit::TripleFault), Step::Compute(500), EXIT];
    for machine in both(&[&first, &[Step::Halt]], |config| config.reboot = true).1 {
        let engines = machine.scripts.iter().map(|script| script.lock().unwrap().engines);
        assert_eq!(engines.collect::<Vec<_>>(), [2, 2]);
    }
}

#[test]
fn other_threads_stop_all_of_them() {
    for scripts in [[&[Step::Halt][..], &[]], [&[], &[]]] {
        let mut machine = Machine::several(&scripts, |config| {
            config.deterministic = false;
            config.max_instructions = None;
        });
        let remote = machine.vm.remote();
        let stopper = std::thread::spawn(move || remote.stop(15));
        assert_eq!(machine.run(), Outcome::Interrupted { signal: 15 });
        stopper.join().expect("no panic");
    }
}

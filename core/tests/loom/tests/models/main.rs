//! All interleavings, within a bound on preemptions, of a few vCPUs, owners and posters of work.
//!
//! A thread that touches the world when it must not is a failure, and so is one that nobody wakes.
//! `mutants` runs these models with one barrier or wake-up left out, and wants them to fail.

mod code;
mod common;
mod kick;
mod mutants;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{World, execute, join, model, own, participants};
use loom::thread;
use models::exclusive::{Parking, Wanted, Work};

#[test]
fn a_vcpu_that_enters_and_leaves() {
    model(3, || {
        let (_, [mut vcpu, mut owner]) = participants();
        let world = Arc::new(World::default());
        let thread = thread::spawn({
            let world = world.clone();
            move || {
                execute(&mut vcpu, &world);
                execute(&mut vcpu, &world);
            }
        });
        own(&mut owner, &world);
        own(&mut owner, &world);
        join([thread]);
    });
}

#[test]
fn a_vcpu_that_polls() {
    model(3, || {
        let (_, [mut vcpu, mut owner]) = participants();
        let world = Arc::new(World::default());
        let thread = thread::spawn({
            let world = world.clone();
            move || {
                let mut inside = vcpu.enter();
                for _ in 0..2 {
                    world.execute();
                    if inside.poll() {
                        inside.pause();
                    }
                }
                world.execute();
            }
        });
        own(&mut owner, &world);
        own(&mut owner, &world);
        join([thread]);
    });
}

#[test]
fn two_vcpus() {
    model(2, || {
        let (_, [first, second, mut owner]) = participants();
        let world = Arc::new(World::default());
        let threads = [first, second].map(|mut vcpu| {
            let world = world.clone();
            thread::spawn(move || execute(&mut vcpu, &world))
        });
        own(&mut owner, &world);
        join(threads);
    });
}

#[test]
fn two_vcpus_and_two_owners() {
    model(1, || {
        let (_, [first, second, mut owner, mut other]) = participants();
        let world = Arc::new(World::default());
        let threads = [first, second].map(|mut vcpu| {
            let world = world.clone();
            thread::spawn(move || execute(&mut vcpu, &world))
        });
        let owner = thread::spawn({
            let world = world.clone();
            move || own(&mut owner, &world)
        });
        own(&mut other, &world);
        join(threads);
        join([owner]);
    });
}

#[test]
fn two_owners() {
    model(3, || {
        let (_, [mut vcpu, mut first, mut second]) = participants();
        let world = Arc::new(World::default());
        let threads = [
            thread::spawn({
                let world = world.clone();
                move || own(&mut first, &world)
            }),
            thread::spawn({
                let world = world.clone();
                move || own(&mut second, &world)
            }),
        ];
        execute(&mut vcpu, &world);
        join(threads);
    });
}

/// As the exclusive step of an instruction does.
#[test]
fn vcpus_that_own_in_turn() {
    model(3, || {
        let (_, [mut first, second]) = participants();
        let world = Arc::new(World::default());
        let step = |vcpu: &mut _, world: &World| {
            execute(vcpu, world);
            own(vcpu, world);
            execute(vcpu, world);
        };
        let thread = thread::spawn({
            let (world, mut second) = (world.clone(), second);
            move || step(&mut second, &world)
        });
        step(&mut first, &world);
        join([thread]);
    });
}

/// A vCPU that waited for a section executes before the next begins.
#[test]
fn bounded_bypass() {
    model(3, || {
        let (threads, [mut vcpu, mut owner]) = participants();
        let world = Arc::new(World::default());
        let executed = Arc::new(AtomicU32::new(0));
        let thread = thread::spawn({
            let (world, executed) = (world.clone(), executed.clone());
            move || {
                let inside = vcpu.enter();
                world.execute();
                // The quota: one poll is owed to whoever waited.
                if !inside.poll() {
                    executed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let section = owner.open();
        world.change(&section);
        let waited = threads.has_slept(0);
        drop(section);
        own(&mut owner, &world);
        assert!(!waited || executed.load(Ordering::Relaxed) == 1, "waited for two sections");
        join([thread]);
    });
}

/// A vCPU that does not look at the gate while it executes, as under KVM.
#[test]
fn a_vcpu_that_has_to_be_kicked() {
    model(3, || {
        let (threads, [mut vcpu, mut owner]) = participants();
        let world = Arc::new(World::default());
        let thread = thread::spawn({
            let (world, threads) = (world.clone(), threads.clone());
            move || {
                let inside = vcpu.enter();
                world.execute();
                threads.execute_until_kicked(0, inside);
            }
        });
        own(&mut owner, &world);
        // Or the guest, if it had not begun before, would not end.
        threads.kick(0, Wanted::Section);
        join([thread]);
    });
}

#[test]
fn work_for_a_vcpu_that_sleeps() {
    model(3, || {
        let (_, [mut vcpu, mut caller]) = participants();
        let work = Arc::new(Work::<u32>::new(vcpu.gate().clone()));
        let thread = thread::spawn({
            let work = work.clone();
            move || {
                let mut state = 1;
                while state == 1 {
                    work.serve(&mut vcpu, &mut state);
                    if state == 1 {
                        vcpu.park();
                    }
                }
                // What comes too late is dropped, and its caller woken.
                work.end(&vcpu);
            }
        });
        let double = |state: &mut u32| {
            *state *= 2;
            *state
        };
        assert_eq!(work.call(&mut caller, 0, double, |_| ()), Some(2));
        assert!(work.call(&mut caller, 0, double, |_| ()).is_none_or(|state| state == 4));
        join([thread]);
    });
}

#[test]
fn work_in_a_section() {
    model(2, || {
        let (_, [mut vcpu, mut other, _poster]) = participants();
        let work = Arc::new(Work::<Vec<u32>>::new(vcpu.gate().clone()));
        let world = Arc::new(World::default());
        let threads = [
            thread::spawn({
                let (work, world) = (work.clone(), world.clone());
                move || {
                    work.post_exclusive(0, move |done, section| {
                        world.change(section);
                        done.push(1);
                    });
                    work.post(0, |done| done.push(2));
                }
            }),
            thread::spawn({
                let world = world.clone();
                move || execute(&mut other, &world)
            }),
        ];
        let mut done = Vec::new();
        while done.len() < 2 {
            work.serve(&mut vcpu, &mut done);
            if done.len() < 2 {
                vcpu.park();
            }
        }
        assert_eq!(done, [1, 2], "not in the order of posting");
        join(threads);
    });
}

#[test]
fn work_for_a_vcpu_that_executes() {
    model(3, || {
        let (threads, [mut vcpu, mut caller]) = participants();
        let work = Arc::new(Work::<u32>::new(vcpu.gate().clone()));
        let thread = thread::spawn({
            let work = work.clone();
            move || {
                let mut state = 1;
                loop {
                    work.serve(&mut vcpu, &mut state);
                    if state != 1 {
                        break;
                    }
                    threads.execute_until_kicked(0, vcpu.enter());
                }
            }
        });
        let double = |state: &mut u32| {
            *state *= 2;
            *state
        };
        assert_eq!(work.call(&mut caller, 0, double, |_| ()), Some(2));
        join([thread]);
    });
}

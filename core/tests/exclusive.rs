//! Gate and work under real threads, more of them than the host has processors.

#[path = "common/threads.rs"]
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use monovisor_core::exclusive::{Outside, Work};
use threads::Threads;

/// Counts who is in; panics where an owner is not alone.
#[derive(Default)]
struct Detector {
    executing: AtomicU64,
    owned: AtomicBool,
}

impl Detector {
    fn execute(&self) {
        self.executing.fetch_add(1, Ordering::SeqCst);
        assert!(!self.owned.load(Ordering::SeqCst), "a vCPU executes in a section");
        std::hint::spin_loop();
        assert!(!self.owned.load(Ordering::SeqCst), "a section began beside a vCPU");
        self.executing.fetch_sub(1, Ordering::SeqCst);
    }

    fn own(&self) {
        assert!(!self.owned.swap(true, Ordering::SeqCst), "two owners at once");
        for _ in 0..20 {
            assert_eq!(self.executing.load(Ordering::SeqCst), 0, "a vCPU executes in a section");
        }
        self.owned.store(false, Ordering::SeqCst);
    }
}

/// Twice as many vCPUs as processors, at least six, each of which enters, executes, leaves, and now
/// and then owns a section; and two threads that only own.
#[test]
fn many_vcpus_and_owners() {
    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 4000 };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let vcpus = if cfg!(miri) { 3 } else { (2 * processors).clamp(6, 32) };
    let (threads, gate) = Threads::with_gate(vcpus + 2);
    let detector = Arc::new(Detector::default());
    let running: Vec<_> = (0..vcpus + 2)
        .map(|slot| {
            let (threads, detector) = (threads.clone(), detector.clone());
            let mut place = gate.claim(slot).expect("nobody has it");
            thread::spawn(move || {
                threads.attach(slot);
                let mut random = slot as u64 * 2 + 1;
                for _ in 0..ROUNDS {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    if slot >= vcpus || random.is_multiple_of(16) {
                        let _section = place.open();
                        detector.own();
                        continue;
                    }
                    let mut inside = place.enter();
                    for _ in 0..random % 8 {
                        detector.execute();
                        if inside.poll() {
                            inside.pause();
                        }
                    }
                }
            })
        })
        .collect();
    for thread in running {
        thread.join().expect("nothing overlaps");
    }
    assert_eq!(detector.executing.load(Ordering::SeqCst), 0);
}

/// Beside an owner that opens one section after the other, a vCPU executes between any two that it
/// has waited for.
#[test]
fn bounded_bypass() {
    const SECTIONS: u64 = if cfg!(miri) { 50 } else { 20_000 };
    let (threads, gate) = Threads::with_gate(2);
    let polls = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let vcpu = thread::spawn({
        let (threads, polls, over) = (threads.clone(), polls.clone(), over.clone());
        let mut place = gate.claim(0).expect("nobody has it");
        move || {
            threads.attach(0);
            let mut inside = place.enter();
            while !over.load(Ordering::Relaxed) {
                polls.fetch_add(1, Ordering::Relaxed);
                if inside.poll() {
                    inside.pause();
                }
            }
        }
    });
    threads.attach(1);
    let mut owner = gate.claim(1).expect("nobody has it");
    while polls.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    let open = owner.open();
    let mut before = polls.load(Ordering::Relaxed);
    drop(open);
    for section in 0..SECTIONS {
        let open = owner.open();
        let now = polls.load(Ordering::Relaxed);
        assert!(now > before, "section {section}: the vCPU was not let in since the last");
        before = now;
        drop(open);
    }
    over.store(true, Ordering::Relaxed);
    vcpu.join().expect("no failure");
}

/// Owners are served in the order in which they came.
#[test]
fn order_of_arrival() {
    const OWNERS: usize = 4;
    let (threads, gate) = Threads::with_gate(OWNERS + 1);
    threads.attach(OWNERS);
    let mut first = gate.claim(OWNERS).expect("nobody has it");
    let served = Arc::new(AtomicU64::new(0));
    let section = first.open();
    let owners: Vec<_> = (0..OWNERS)
        .map(|slot| {
            let mut place = gate.claim(slot).expect("nobody has it");
            let owner = thread::spawn({
                let (threads, served) = (threads.clone(), served.clone());
                move || {
                    threads.attach(slot);
                    let _section = place.open();
                    assert_eq!(served.fetch_add(1, Ordering::Relaxed), slot as u64, "out of order");
                }
            });
            // Whoever has a turn soon sleeps for it.
            threads.await_sleep(slot);
            owner
        })
        .collect();
    drop(section);
    for owner in owners {
        owner.join().expect("served in order");
    }
}

/// All call each other, which serves them meanwhile.
#[test]
fn calls_among_all() {
    const VCPUS: usize = 6;
    const ROUNDS: u64 = if cfg!(miri) { 5 } else { 2000 };
    let (threads, gate) = Threads::with_gate(VCPUS);
    let work = Arc::new(Work::<u64>::new(gate.clone()));
    let finished = Arc::new(AtomicU64::new(0));
    let vcpus: Vec<_> = (0..VCPUS)
        .map(|slot| {
            let (threads, work, finished) = (threads.clone(), work.clone(), finished.clone());
            let mut place = gate.claim(slot).expect("nobody has it");
            thread::spawn(move || {
                threads.attach(slot);
                let mut count = 0;
                for round in 0..ROUNDS {
                    let other = (slot + 1 + round as usize % (VCPUS - 1)) % VCPUS;
                    let add = |count: &mut u64| *count += 1;
                    let serve = |place: &mut Outside| work.serve(place, &mut count);
                    assert_eq!(work.call(&mut place, other, add, serve), Some(()));
                }
                work.post_exclusive((slot + 1) % VCPUS, |count, _section| *count += 1);
                finished.fetch_add(1, Ordering::SeqCst);
                work.post_all(|_| ());
                while finished.load(Ordering::SeqCst) < VCPUS as u64 {
                    work.serve(&mut place, &mut count);
                    if finished.load(Ordering::SeqCst) < VCPUS as u64 && !work.waits_for(slot) {
                        place.park();
                    }
                }
                work.serve(&mut place, &mut count);
                count
            })
        })
        .collect();
    let counts = vcpus.into_iter().map(|vcpu| vcpu.join().expect("no failure"));
    assert_eq!(counts.sum::<u64>(), VCPUS as u64 * (ROUNDS + 1));
}

/// What nobody will do is dropped, and whoever called for it is told.
#[test]
fn work_for_nobody() {
    let (threads, gate) = Threads::with_gate(2);
    threads.attach(0);
    let work = Work::<()>::new(gate.clone());
    let (mut caller, ended) = (gate.claim(0).expect("free"), gate.claim(1).expect("free"));
    assert!(gate.claim(1).is_none(), "a slot has one token");
    assert_eq!(work.call(&mut caller, 7, |()| 1, |_| ()), None, "there is no such slot");
    work.post(1, |()| panic!("nobody does it"));
    work.end(&ended);
    assert!(!work.waits_for(1));
    assert_eq!(work.call(&mut caller, 1, |()| 1, |_| ()), None, "it has ended");
    drop(ended);
    assert!(gate.claim(1).is_some(), "a token that is dropped is free again");
}

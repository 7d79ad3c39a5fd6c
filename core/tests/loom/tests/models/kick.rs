//! Kicks of a vCPU that KVM executes: by a flag and a signal, of which each may be left out where the other
//! serves (the host's `engine/kvm/flag.rs`).

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use loom::thread;
use models::flag;

use super::common::{join, model};

/// How those who write the flag do it.
#[derive(Clone, Copy)]
struct Manner {
    post: fn(&AtomicBool),
    clear: fn(&AtomicU8),
    ring: fn(&AtomicU8, &Notify),
}

const OURS: Manner = Manner {
    post: |pending| _ = pending.swap(true, Ordering::Release),
    clear: flag::clear,
    ring: |flag, signal| flag::ring(flag, || signal.notify()),
};

/// A vCPU, and what two threads want of it.
#[derive(Default)]
struct Vcpu {
    flag: AtomicU8,
    pending: AtomicBool,
    wanted: [AtomicBool; 2],
}

/// As `Kick::kick` and its wake.
fn kick(vcpu: &Vcpu, signal: &Notify, who: usize, manner: Manner) {
    vcpu.wanted[who].store(true, Ordering::Relaxed);
    (manner.post)(&vcpu.pending);
    (manner.ring)(&vcpu.flag, signal);
}

/// As `Bell::enter`: a guest that never ends by itself executes until a signal.
fn enter(vcpu: &Vcpu, signal: &Notify, manner: Manner) {
    (manner.clear)(&vcpu.flag);
    if !vcpu.pending.load(Ordering::Relaxed) {
        signal.wait();
        flag::set(&vcpu.flag);
    }
    vcpu.pending.swap(false, Ordering::Acquire);
}

/// The vCPU returns until it has found what both want.
fn two_kicks(manner: Manner) {
    model(3, move || {
        let shared = Arc::new((Vcpu::default(), Notify::new()));
        let threads = [0, 1].map(|who| {
            let shared = shared.clone();
            thread::spawn(move || kick(&shared.0, &shared.1, who, manner))
        });
        let (vcpu, signal) = &*shared;
        while !vcpu.wanted.iter().all(|wanted| wanted.load(Ordering::Relaxed)) {
            enter(vcpu, signal, manner);
        }
        join(threads);
    });
}

#[test]
fn no_kick_is_lost() {
    two_kicks(OURS);
}

#[test]
#[should_panic(expected = "deadlock")]
fn one_is_lost_where_it_is_stored() {
    two_kicks(Manner { post: |pending| pending.store(true, Ordering::Release), ..OURS });
}

#[test]
#[should_panic(expected = "deadlock")]
fn one_is_lost_where_the_flag_is_cleared_by_a_store() {
    two_kicks(Manner { clear: |flag| flag.store(0, Ordering::Release), ..OURS });
}

#[test]
#[should_panic(expected = "deadlock")]
fn one_is_lost_where_the_flag_is_set_without_releasing() {
    let ring = |flag: &AtomicU8, signal: &Notify| {
        if flag.swap(1, Ordering::Relaxed) == 0 {
            signal.notify();
        }
    };
    two_kicks(Manner { ring, ..OURS });
}

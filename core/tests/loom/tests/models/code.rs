//! vCPUs that write code beside others that execute it.
//!
//! What has to hold (SDM, "Handling Self- and Cross-Modifying Code"): who has seen, before it
//! serialises, that code was written executes what was written.

use std::sync::Arc;

use loom::thread;
use models::paging::{SharedCode, Vcpu, Word, mfence};

use super::common::model;

/// The shared part of a model: code, and a word that tells of it.
#[derive(Default)]
struct Words {
    code: Word,
    flag: Word,
}

fn vcpus<const N: usize>() -> (Arc<Words>, [Vcpu; N]) {
    let code = SharedCode::new(N, 4096);
    (Arc::default(), std::array::from_fn(|_| Vcpu::join(&code)))
}

/// Executes the code until it was told of, then what was told.
fn executes(vcpu: &mut Vcpu, words: &Words) {
    vcpu.enter();
    vcpu.execute(&words.code);
    let told = words.flag.load();
    vcpu.serialize();
    let executed = vcpu.execute(&words.code);
    assert!(executed >= told, "{executed} is executed after {told} was told of");
    vcpu.leave();
}

/// Writes code and tells of it, with a look between instructions before and after.
fn writes(vcpu: &mut Vcpu, words: &Words, value: u64) {
    vcpu.store(&words.code, value);
    words.flag.store(value);
    vcpu.look();
}

/// What `act` does on a thread, and then the end of that, beside a vCPU that executes the code.
fn beside(
    words: &Arc<Words>,
    [mut writer, mut watcher]: [Vcpu; 2],
    act: impl FnOnce(&mut Vcpu, &Words) + 'static,
) {
    let thread = thread::spawn({
        let words = words.clone();
        move || {
            act(&mut writer, &words);
            writer.leave();
        }
    });
    executes(&mut watcher, words);
    thread.join().expect("no failure");
}

#[test]
fn code_that_is_written_while_it_is_translated() {
    model(3, || {
        let (words, [writer, watcher]) = vcpus();
        beside(&words, [writer, watcher], |writer, words| {
            writer.enter();
            writes(writer, words, 1);
        });
    });
}

/// The writer has a write tag before the other one translates.
#[test]
fn code_that_has_a_writer_already() {
    model(3, || {
        let (words, [mut writer, watcher]) = vcpus();
        writer.enter();
        writes(&mut writer, &words, 1);
        beside(&words, [writer, watcher], |writer, words| writes(writer, words, 2));
    });
}

/// The writer has a write tag, and does not execute when the other one translates.
#[test]
fn code_whose_writer_comes_back() {
    model(3, || {
        let (words, [mut writer, watcher]) = vcpus();
        writer.enter();
        writes(&mut writer, &words, 1);
        writer.leave();
        beside(&words, [writer, watcher], |writer, words| {
            writer.enter();
            writes(writer, words, 2);
        });
    });
}

/// The code is translated before it is written, so each store is told of.
#[test]
fn code_that_is_translated_already() {
    model(3, || {
        let (words, [writer, mut watcher]) = vcpus();
        watcher.enter();
        watcher.execute(&words.code);
        beside(&words, [writer, watcher], |writer, words| {
            writer.enter();
            writes(writer, words, 1);
        });
    });
}

/// Somebody else has translated the code, so the writer gets no write tag, and tells of each store.
#[test]
fn code_that_another_has_translated() {
    model(3, || {
        let (words, [mut writer, watcher, mut other]) = vcpus();
        other.enter();
        other.execute(&words.code);
        writer.enter();
        beside(&words, [writer, watcher], |writer, words| writes(writer, words, 1));
    });
}

/// Somebody else has asked the writer to stop, who does so while the watcher translates.
#[test]
fn code_whose_writer_stops_for_another() {
    model(3, || {
        let (words, [mut writer, watcher, mut other]) = vcpus();
        writer.enter();
        writes(&mut writer, &words, 1);
        other.enter();
        other.execute(&words.code);
        beside(&words, [writer, watcher], |writer, words| writes(writer, words, 2));
    });
}

/// Each writes and then looks at what the other has written: one of them sees it.
#[test]
fn stores_before_a_serialising_instruction() {
    model(3, || {
        let (words, [mut writer, mut watcher]) = vcpus();
        watcher.enter();
        watcher.execute(&words.code);
        let thread = thread::spawn({
            let words = words.clone();
            move || {
                writer.enter();
                writer.store(&words.code, 1);
                mfence();
                let seen = words.flag.load();
                writer.leave();
                seen
            }
        });
        words.flag.store(1);
        watcher.serialize();
        let executed = watcher.execute(&words.code);
        let seen = thread.join().expect("no failure");
        assert!(executed == 1 || seen == 1, "neither has seen the other");
    });
}

/// One that executes what two others write.
#[test]
fn two_writers() {
    model(2, || {
        let (words, [first, second, mut watcher]) = vcpus();
        let threads = [first, second].map(|mut writer| {
            let words = words.clone();
            thread::spawn(move || {
                writer.enter();
                writer.store(&words.code, 1);
                words.flag.store(1);
                writer.leave();
            })
        });
        executes(&mut watcher, &words);
        for thread in threads {
            thread.join().expect("no failure");
        }
    });
}

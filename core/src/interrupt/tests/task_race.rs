//! Task switches while another processor takes the pages away in which the tasks are: each either happens
//! as a whole, or is a page fault of the old task, which can try again.

extern crate std;

use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::fixture::*;
use crate::interrupt::far_jump;
use crate::state::{Cr0Flags, Exception, Register, SegmentRegister, Vector};

/// 32-bit paging: a directory, and a table that maps 4 MiB.
const DIRECTORY: u64 = 0x1_0000;
const TABLE: u64 = 0x1_1000;
/// Linear addresses of both tasks, whose TLB entries take each other's place and that of the GDT.
const OLD: u64 = 0x10_6000;
const NEW: u64 = 0x20_6000;
const NEW_PHYSICAL: u64 = 0xc000;
const NEW_RIP: u32 = 0x5555;

fn entry(linear: u64) -> u64 {
    TABLE + (linear >> 12) * 4
}

fn machine() -> Machine {
    let mut machine = Machine::protected(0);
    machine.poke(DIRECTORY, TABLE as u32 | 7);
    for page in 0..0x40_u32 {
        machine.poke(TABLE + u64::from(page) * 4, page << 12 | 7);
    }
    machine.poke(entry(OLD), TSS as u32 | 7);
    machine.poke(entry(NEW), NEW_PHYSICAL as u32 | 7);
    machine.free(descriptor(NEW as u32, 0x67, PRESENT | 9, 0), 0);
    machine.poke(GDT + u64::from(TASK), descriptor(OLD as u32, 0x67, PRESENT | 0xb, 0));
    for (offset, value) in [(0x1c, DIRECTORY as u32), (0x20, NEW_RIP), (0x24, 2), (0x38, 0xd000)] {
        machine.poke(NEW_PHYSICAL + offset, value);
    }
    for (number, selector) in (0..).zip([DATA, CODE_32, DATA, DATA, DATA, DATA]) {
        machine.poke(NEW_PHYSICAL + 0x48 + number * 4, u32::from(selector));
    }
    machine.state.segments[SegmentRegister::Tr].base = OLD;
    machine.state.control.cr3 = DIRECTORY;
    machine.state.control.cr0 |= Cr0Flags::PAGING;
    machine.mmu.update_mode(&machine.state);
    machine
}

#[test]
fn a_switch_is_whole_or_a_page_fault() {
    let mut machine = machine();
    let start = machine.state.clone();
    let (ram, stop) = (machine.ram.clone(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let (page, physical) = [(OLD, TSS), (NEW, NEW_PHYSICAL), (GDT, GDT)][number % 3];
                ram.write(entry(page), &[physical as u8]);
                core::hint::spin_loop();
                ram.write(entry(page), &[physical as u8 | 7]);
            }
        });
        let (mut switched, mut faulted) = (0, 0);
        while (switched < 200 || faulted < 200) && switched + faulted < 10_000_000 {
            machine.mmu.flush_all();
            match far_jump(&mut machine.state, &mut machine.mmu, FREE, 0) {
                Ok(()) => {
                    switched += 1;
                    // A page that is missed while segments are loaded is the new task's fault.
                    let fault = machine.state.pending.fault;
                    assert!(fault.is_none_or(|fault| is_page_fault(&fault)), "{fault:?}");
                    assert_eq!(machine.state.rip, NEW_RIP.into());
                    assert_eq!(machine.state.gpr[Register::Rsp], 0xd000);
                    assert_eq!(machine.state.segments[SegmentRegister::Tr].selector, FREE);
                }
                Err(fault) => {
                    faulted += 1;
                    assert!(is_page_fault(&fault), "{fault:?}");
                    assert_eq!(machine.state, start, "the old task goes on as if nothing had been");
                    // The same switch can be tried again: the new task is not taken for a busy one.
                    assert_eq!(machine.peek::<u8>(GDT + u64::from(FREE) + 5), PRESENT | 9);
                    assert_eq!(machine.peek::<u8>(GDT + u64::from(TASK) + 5), PRESENT | 0xb);
                    continue;
                }
            }
            machine.state.clone_from(&start);
            machine.poke(GDT + u64::from(FREE) + 5, PRESENT | 9);
            machine.poke(GDT + u64::from(TASK) + 5, PRESENT | 0xb);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(switched >= 200 && faulted >= 200, "{switched} switches, {faulted} faults");
    });
}

fn is_page_fault(fault: &Exception) -> bool {
    fault.vector == Vector::PageFault
}

//! Several processors: starts those that ACPI lists, each with a stack, a task state segment and
//! exception stacks of its own. They share page tables, descriptor tables and handlers.
//!
//! A processor is called by its number: its place in ACPI's list, 0 for the bootstrap processor.
//! [`catch`](crate::catch) is the bootstrap processor's alone.

pub mod litmus;
pub mod received;
pub mod team;
mod trampoline;

use crate::device::{apic, pic};
use crate::{acpi, exit, interrupt, segment};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use spin::Once;

/// What a started processor executes, with its number.
pub type Main = fn(usize);

/// How long a processor may take from its start-up IPI to `running`: an eternity.
const PATIENCE: u64 = 2_000_000_000;

static IDS: Once<Vec<u32>> = Once::new();
static MAIN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// The processor that starts, and how many have started since the machine has.
static STARTING: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The APIC IDs of all processors, by number.
pub fn ids() -> &'static [u32] {
    IDS.call_once(|| {
        let ids: Vec<u32> = acpi::processors().map(u32::from).collect();
        assert!(ids.first() == Some(&apic_id()), "the first processor is the bootstrap processor");
        ids
    })
}

/// How many processors there are.
pub fn count() -> usize {
    ids().len()
}

/// The APIC ID of the processor that executes this, whatever the APIC's mode.
pub fn apic_id() -> u32 {
    crate::cpu::cpuid(1, 0).ebx >> 24
}

/// The number of the processor that executes this.
pub fn number() -> usize {
    segment::processor_number()
}

/// Starts every other processor with `main`, one after another, and returns when all are about to
/// execute it. One whose `main` returns sleeps with interrupts off, and can be started anew.
pub fn start_all(main: Main) {
    // No request of the PIC may be on its way when the APIC shuts it out: QEMU's processor would take
    // an interrupt that is none.
    pic::init();
    apic::init();
    trampoline::install();
    (1..count()).for_each(|number| start(number, main));
}

/// Starts one processor by INIT and two start-up IPIs, as the manual wants it (SDM, "MP
/// Initialization Protocol"), and waits until it is about to execute `main`.
pub fn start(number: usize, main: Main) {
    let before = prepare(number, main);
    let id = ids()[number];
    apic::send_to(id, apic::INIT | apic::ASSERT);
    for _ in 0..2 {
        apic::send_to(id, apic::START_UP | trampoline::PAGE);
    }
    wait_started(before);
}

/// Makes ready for the start of one processor, by whatever interrupts the caller sends; what this
/// returns is for [`wait_started`].
pub fn prepare(number: usize, main: Main) -> u32 {
    MAIN.store(main as *mut (), Ordering::Relaxed);
    STARTING.store(number, Ordering::Release);
    trampoline::set_stack(segment::prepare_processor(number));
    STARTED.load(Ordering::Acquire)
}

/// Waits until the processor is about to execute its `main`.
pub fn wait_started(before: u32) {
    let mut patience = PATIENCE;
    while STARTED.load(Ordering::Acquire) == before {
        core::hint::spin_loop();
        patience -= 1;
        assert!(patience > 0, "processor {} does not start", STARTING.load(Ordering::Relaxed));
    }
}

/// The start-up vector, for tests that start processors by themselves after [`start_all`].
pub const START_UP_VECTOR: u32 = trampoline::PAGE;

/// Called by the trampoline on the new processor's own stack.
extern "C" fn enter() -> ! {
    let number = STARTING.load(Ordering::Acquire);
    segment::load_processor(number);
    interrupt::load_idt(0xfff);
    apic::init();
    let main = MAIN.load(Ordering::Relaxed);
    STARTED.fetch_add(1, Ordering::Release);
    // SAFETY: `prepare` stored a `Main`.
    unsafe { core::mem::transmute::<*mut (), Main>(main)(number) };
    exit::halt()
}

/// Waits, spinning, until `condition` holds.
pub fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        core::hint::spin_loop();
    }
}

//! What a task switch does for a debugger: #DB at the first instruction of a task with the T flag, no
//! breakpoints of the task that was left, RF in what is saved of a task that faults (SDM, Task-Switch
//! Exception Condition, Debug Control Register, Instruction-Breakpoint Exception Condition).
//@ qemu: differs: QEMU 7.2 knows neither the T flag nor RF in a TSS
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no task switches

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{DB, UD};
use guest_tests::legacy::task::field::{EFLAGS, TRAP};
use guest_tests::legacy::task::{JMP, MARK};
use guest_tests::legacy::{Context, Legacy, OTHER_TASK, OTHER_TSS, TSS, gate, kind, stub};
use guest_tests::register::eflags::{RF, TF};

guest_tests::entry!(main);

fn main() {
    let mut legacy = Legacy::with_other_task();
    legacy.write(OTHER_TSS + TRAP, 1_u16);
    let caught = legacy.run(&Context::LEVEL_0, JMP);
    check_eq!((caught.vector, caught.eip, caught.tr), (DB.into(), stub(MARK), OTHER_TASK.into()));
    check_eq!(caught.dr6 & 0xe00f, 1 << 15, "BT of DR6");

    // A single step over the JMP: TF is each task's own.
    let mut legacy = Legacy::with_other_task();
    let context = Context { eflags: TF | 2, eip: Context::LEVEL_0.eip, ..Context::LEVEL_0 };
    let caught = legacy.run(&context, JMP);
    check_eq!((caught.vector, caught.tr), (MARK.into(), OTHER_TASK.into()));
    check_eq!(legacy.read::<u32>(TSS + EFLAGS), TF | 2, "TF is saved");

    let mut legacy = Legacy::with_other_task();
    legacy.set_gate(UD, gate(OTHER_TASK, 0, kind::TASK_GATE, 0));
    let caught = legacy.run(&Context::LEVEL_0, &[0x0f, 0x0b]);
    check_eq!(caught.tr, u32::from(OTHER_TASK));
    check_eq!(legacy.read::<u32>(TSS + EFLAGS), RF | 2, "a fault resumes");
}

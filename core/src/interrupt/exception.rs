//! Exceptions, interrupts and software interrupts: what is delivered, and what becomes of an
//! exception that another delivery raises (SDM, "Double Fault Exception").

use core::{error, fmt};

use super::delivery::{Event, deliver};
use super::log::{Cause, FaultLog};
use super::virtual_8086;
use crate::paging::Mmu;
use crate::state::{Activity, BRANCH_TRAP, CpuState, Dr6Flags, Exception, Vector};

/// A fault during the delivery of a double fault: the processor has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shutdown;

impl fmt::Display for Shutdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("triple fault: the delivery of a double fault faulted")
    }
}

impl error::Error for Shutdown {}

/// The instructions that deliver an interrupt themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoftwareInterrupt {
    /// INT n.
    IntN,
    /// INT3.
    Int3,
    /// INTO.
    Into,
    /// INT1: a debug exception, to which the gate's DPL is no hindrance.
    Int1,
}

/// How two exceptions combine (SDM, "Interrupt and Exception Classes").
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
    DoubleFault,
}

fn class(vector: Vector) -> Class {
    match vector {
        Vector::DivideError
        | Vector::InvalidTss
        | Vector::SegmentNotPresent
        | Vector::StackFault
        | Vector::GeneralProtection => Class::Contributory,
        Vector::PageFault => Class::PageFault,
        Vector::DoubleFault => Class::DoubleFault,
        _ => Class::Benign,
    }
}

/// Raises an exception at `state.rip`. Exceptions during its delivery are delivered in its stead,
/// or become a double fault.
///
/// # Errors
/// [`Shutdown`] after a fault in the delivery of a double fault. Registers are then as they were,
/// but for CR2, DR6 and the activity, or those of a task that was entered on the way.
pub(crate) fn raise(
    state: &mut CpuState,
    mmu: &mut Mmu,
    exception: Exception,
    log: &mut FaultLog,
) -> Result<(), Shutdown> {
    raise_nested(state, mmu, exception, log, false)
}

/// Delivers a maskable interrupt. The caller has found that the processor takes one now.
///
/// # Errors
/// As [`raise`].
pub(crate) fn external(
    state: &mut CpuState,
    mmu: &mut Mmu,
    vector: u8,
    log: &mut FaultLog,
) -> Result<(), Shutdown> {
    interrupt(state, mmu, vector, Cause::Interrupt(vector), log)
}

/// Delivers a non-maskable interrupt, and blocks others until the next IRET (SDM, "Handling
/// Multiple NMIs"). The caller has found that none is blocked now.
///
/// # Errors
/// As [`raise`].
pub(crate) fn nmi(state: &mut CpuState, mmu: &mut Mmu, log: &mut FaultLog) -> Result<(), Shutdown> {
    state.shadow.nmi = true;
    interrupt(state, mmu, Vector::NonMaskableInterrupt as u8, Cause::Nmi, log)
}

/// Delivers INT n, INT3, INTO (whose condition the caller has found true) or INT1. The handler
/// returns to `return_rip`.
///
/// # Errors
/// The exception that the instruction raises instead; the state is then untouched.
pub(crate) fn software(
    state: &mut CpuState,
    mmu: &mut Mmu,
    vector: u8,
    kind: SoftwareInterrupt,
    return_rip: u64,
) -> Result<(), Exception> {
    if kind == SoftwareInterrupt::IntN
        && state.virtual_8086()
        && virtual_8086::software_interrupt(state, mmu, vector, return_rip)?
    {
        return Ok(());
    }
    let external = kind == SoftwareInterrupt::Int1;
    // INT1 is a debug exception, so what a load of SS has held back is reported with it, not by a second
    // one before its handler's first instruction, which would have the same stack.
    let held_back = if external { state.pending.debug.take() } else { None };
    let event = Event {
        vector,
        error_code: None,
        external,
        checks_dpl: !external,
        resumes: false,
        return_rip,
    };
    deliver(state, mmu, &event).inspect_err(|_| state.pending.debug = held_back)?;
    if external {
        note_payload(state, &Exception::debug(held_back.unwrap_or(Dr6Flags::empty())));
    }
    Ok(())
}

fn interrupt(
    state: &mut CpuState,
    mmu: &mut Mmu,
    vector: u8,
    cause: Cause,
    log: &mut FaultLog,
) -> Result<(), Shutdown> {
    let event = Event {
        vector,
        error_code: None,
        external: true,
        checks_dpl: false,
        resumes: false,
        return_rip: state.rip,
    };
    deliver(state, mmu, &event).or_else(|exception| {
        log.record(state, cause, false);
        raise_nested(state, mmu, exception, log, true)
    })
}

fn raise_nested(
    state: &mut CpuState,
    mmu: &mut Mmu,
    exception: Exception,
    log: &mut FaultLog,
    nested: bool,
) -> Result<(), Shutdown> {
    note_payload(state, &exception);
    log.record(state, Cause::Exception(exception), nested);
    let mut current = exception;
    // Ends: a second exception of a delivery is of a higher class, makes a double fault, or waits.
    loop {
        let second = match deliver(state, mmu, &event(state, &current)) {
            Err(second) => second,
            Ok(()) => match state.pending.fault.take() {
                Some(of_new_task) => of_new_task,
                None => return Ok(()),
            },
        };
        // Benign ones come one behind the other, perhaps for ever: #AC where the delivery of #AC is not aligned.
        // A processor would not come back from that; here the next is an event of its own, of which each run
        // has only as many as its budget.
        if class(second.vector) == Class::Benign && class(current.vector) != Class::DoubleFault {
            state.pending.fault = Some(second);
            mmu.attention = true;
            return Ok(());
        }
        note_payload(state, &second);
        log.record(state, Cause::Exception(second), true);
        current = match (class(current.vector), class(second.vector)) {
            (Class::DoubleFault, _) => {
                state.activity = Activity::Shutdown;
                return Err(Shutdown);
            }
            (Class::Contributory, Class::Contributory)
            | (Class::PageFault, Class::Contributory | Class::PageFault) => {
                let double_fault = Exception::with_code(Vector::DoubleFault, 0);
                log.record(state, Cause::Exception(double_fault), true);
                double_fault
            }
            _ => second,
        };
    }
}

fn event(state: &CpuState, exception: &Exception) -> Event {
    Event {
        vector: exception.vector as u8,
        error_code: exception.error_code,
        external: true,
        checks_dpl: false,
        resumes: is_fault(exception),
        return_rip: state.rip,
    }
}

/// Faults are restarted, and set RF in the pushed flags so that the restart gets past an
/// instruction breakpoint; that breakpoint itself, which only its handler can pass, traps and aborts
/// leave it alone (SDM, "Instruction-Breakpoint Exception Condition").
fn is_fault(exception: &Exception) -> bool {
    if exception.vector == Vector::Debug {
        return exception.payload & Dr6Flags::ACCESS_DETECTED.bits() != 0;
    }
    !matches!(
        exception.vector,
        Vector::NonMaskableInterrupt
            | Vector::Breakpoint
            | Vector::Overflow
            | Vector::DoubleFault
            | Vector::MachineCheck
    )
}

/// What an exception leaves in CR2, or in DR6, DR7 and IA32_DEBUGCTL, whether or not its delivery succeeds (SDM,
/// "Page-Fault Exception", "Debug Status Register (DR6)").
fn note_payload(state: &mut CpuState, exception: &Exception) {
    const BREAKPOINT_CONDITIONS: u64 = 0xf;
    const GENERAL_DETECT_ENABLE: u64 = 1 << 13;
    match exception.vector {
        Vector::PageFault => state.control.cr2 = exception.payload,
        Vector::Debug => {
            state.debug.dr6 = state.debug.dr6 & !BREAKPOINT_CONDITIONS | exception.payload;
            state.debug.dr7 &= !GENERAL_DETECT_ENABLE;
            state.msr.debug_control &= !BRANCH_TRAP;
        }
        _ => {}
    }
}

//! The first line: why the run ended, as specifically as the evidence allows.

use monovisor_core::Cause;
use monovisor_core::state::RFlags;

use crate::diagnose::{Failure, fault};
use crate::outcome::Outcome;
use crate::report::human::{count, duration};

/// One sentence.
pub(super) fn sentence(failure: &Failure<'_>) -> String {
    let Some(outcome) = failure.outcome else { return "the guest is here, and goes on".to_owned() };
    match outcome {
        Outcome::TripleFault => triple_fault(failure).unwrap_or_else(|| outcome.to_string()),
        Outcome::TimeLimit => match failure.timeout {
            Some(limit) => format!("the guest did not end within {}", duration(limit)),
            None => outcome.to_string(),
        },
        Outcome::InstructionLimit => match failure.max_instructions {
            Some(limit) => format!("the guest did not end within {} instructions", count(limit)),
            None => outcome.to_string(),
        },
        Outcome::HaltedForever => {
            let why = if failure.state.rflags.contains(RFlags::INTERRUPT_FLAG) {
                "no device has an interrupt to send"
            } else {
                "interrupts are off (IF = 0)"
            };
            format!("the guest halted, and nothing can wake it: {why}")
        }
        _ => outcome.to_string(),
    }
}

fn triple_fault(failure: &Failure<'_>) -> Option<String> {
    let [first, rest @ ..] = fault::chain(failure.deliveries) else { return None };
    let name = fault::name(first.cause);
    let obstacle = rest.iter().find_map(|delivery| match delivery.cause {
        Cause::Exception(exception) => fault::obstacle(failure.state, &exception),
        _ => None,
    });
    let why = obstacle.map(|obstacle| format!(": {obstacle}")).unwrap_or_default();
    Some(format!("triple fault: {name} could not be delivered{why}"))
}

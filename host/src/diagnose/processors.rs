//! The other vCPUs of a machine that several share: a line each for what they were doing.

use monovisor_core::CpuState;
use monovisor_core::state::{Activity, RFlags};

use super::Failure;
use super::guest::Guest;
use super::symbolize::Symbolizer;

/// How many are listed.
const MAX_LISTED: usize = 16;

/// Whose state the report shows: its number, where there are several.
pub fn shown(failure: &Failure<'_>) -> Option<usize> {
    (!failure.processors.is_empty()).then(|| failure.processor.unwrap_or(0))
}

/// What each of the other vCPUs was doing.
pub fn others(failure: &Failure<'_>, symbolizer: &Symbolizer) -> Vec<String> {
    let shown = shown(failure);
    let others: Vec<_> = failure
        .processors
        .iter()
        .enumerate()
        .filter(|(number, _)| Some(*number) != shown)
        .collect();
    let listed = &others[..others.len().min(MAX_LISTED)];
    let address = |state| Guest { state, ram: failure.ram }.code_address(state.rip);
    // Behind a HLT there may be another line, or another function.
    let addresses: Vec<_> = listed
        .iter()
        .map(|(_, state)| address(*state).wrapping_sub(is_halted(state).into()))
        .collect();
    let symbols = symbolizer.look_up(&addresses);
    let mut lines = Vec::with_capacity(listed.len() + 1);
    for ((number, state), symbol) in listed.iter().zip(&symbols) {
        let place = format!("{:#x} {symbol}", address(state));
        lines.push(format!("vCPU {number:<3} {} at {}", activity(state), place.trim_end()));
    }
    if let Some(more @ 1..) = others.len().checked_sub(MAX_LISTED) {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn is_halted(state: &CpuState) -> bool {
    state.activity == Activity::Halted
}

fn activity(state: &CpuState) -> &'static str {
    match state.activity {
        Activity::Active => "running",
        Activity::Halted if state.rflags.contains(RFlags::INTERRUPT_FLAG) => "halted",
        Activity::Halted => "halted with interrupts off (IF = 0)",
        Activity::Shutdown => "shut down",
        Activity::WaitForSipi => "waiting for its start-up IPI",
    }
}

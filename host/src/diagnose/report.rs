//! The report as text: which sections, in which order, and how they are laid out.

mod cause;
mod code;

use std::time::Duration;

use monovisor_core::Space;
use monovisor_core::paging::explain;
use monovisor_core::state::Vector;
use monovisor_core::{Cause, Delivery};
use x86_64::structures::idt::PageFaultErrorCode;

use super::guest::Guest;
use super::symbolize::Symbolizer;
use super::{Failure, fault, hint, processors, registers};
use crate::bus::Unclaimed;
use crate::outcome::Outcome;
use crate::report::human::{after, count};

/// How long the image's debug information may keep the report waiting.
const SYMBOL_PATIENCE: Duration = Duration::from_secs(3);
/// Earlier exceptions that are listed beside the fatal ones.
const MAX_EARLIER: usize = 3;
/// Page walks that are shown.
const MAX_WALKS: usize = 2;
/// Unclaimed accesses that are listed.
const MAX_UNCLAIMED: usize = 6;

/// The report, ending in a newline; headings are bold if `colour` is set.
pub fn report(failure: &Failure<'_>, colour: bool) -> String {
    let guest = Guest { state: failure.state, ram: failure.ram };
    let symbolizer = Symbolizer::new(failure.image, failure.bias, SYMBOL_PATIENCE);
    let rip = guest.code_address(failure.state.rip);
    // Behind a HLT there may be another line, or another function.
    let behind = failure.ended_behind_instruction();
    let here = symbolizer.look_up(&[rip.wrapping_sub(behind.into())]).pop().unwrap_or_default();

    let mut page = Page { text: String::new(), colour };
    let place = if here == Default::default() { format!("{rip:#x}") } else { here.to_string() };
    let sentence = cause::sentence(failure);
    match failure.processor.and(processors::shown(failure)) {
        Some(number) => page.title(&format!("vCPU {number}: {sentence}")),
        None => page.title(&sentence),
    }
    page.lines([summary(failure, &place)]);
    let heading = match failure.outcome {
        Some(Outcome::TripleFault) => "exceptions",
        _ => "last exceptions",
    };
    page.section(heading, exceptions(failure, &guest, &symbolizer));
    page.section("code", code::listing(&guest, &symbolizer, &here, behind));
    page.section("callers", code::callers(&guest, &symbolizer));
    page.section("registers", registers::general(failure.state));
    page.lines(registers::control(failure.state));
    page.lines(registers::segments(failure.state));
    for (heading, walk) in walks(failure, rip) {
        page.section(&heading, walk);
    }
    page.section("other vCPUs", processors::others(failure, &symbolizer));
    page.section("accesses that no device answered", unclaimed(failure.unclaimed));
    page.section("to run it again", vec![failure.command.to_owned()]);
    page.text
}

/// Text in the making.
struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn title(&mut self, sentence: &str) {
        let (on, off) = if self.colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.push(&format!("{on}monovisor: {sentence}{off}"));
    }

    /// A heading and its lines; nothing if there are none.
    fn section(&mut self, heading: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let (on, off) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.push(&format!("\n{on}{heading}{off}"));
        self.lines(lines);
    }

    fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.push(format!("  {line}").trim_end());
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// Where the guest was and how far it had come.
fn summary(failure: &Failure<'_>, place: &str) -> String {
    format!("at {place},{}", after(failure.wall_time, failure.instructions))
}

/// The fatal chain, or for other ends, the last exceptions that the guest handled.
fn exceptions(failure: &Failure<'_>, guest: &Guest<'_>, symbolizer: &Symbolizer) -> Vec<String> {
    let fatal = match failure.outcome {
        Some(Outcome::TripleFault) => fault::chain(failure.deliveries),
        _ => &[],
    };
    let handled = &failure.deliveries[..failure.deliveries.len() - fatal.len()];
    let handled = fault::last(handled, MAX_EARLIER);
    let shown: Vec<_> = handled.iter().chain(fatal).collect();
    let addresses: Vec<_> = shown.iter().map(|delivery| guest.code_address(delivery.rip)).collect();
    let symbols = symbolizer.look_up(&addresses);

    let mut lines = Vec::new();
    for (index, delivery) in shown.into_iter().enumerate() {
        let name = fault::name(delivery.cause);
        if delivery.nested {
            lines.push(nested(delivery, &name));
        } else {
            let verb = if index < handled.len() { "handled" } else { "fatal" };
            let place = format!("{:#x} {}", addresses[index], symbols[index]);
            lines.push(format!("{verb:<9}{name} at {}", place.trim_end()));
        }
        if let Cause::Exception(exception) = delivery.cause {
            let hint = if index == handled.len() {
                hint::hint(guest, &exception, addresses[index])
            } else {
                None
            };
            let detail = hint.or_else(|| fault::detail(&exception));
            lines.extend(detail.map(|detail| format!("{:9}{detail}", "")));
        }
    }
    lines
}

fn nested(delivery: &Delivery, name: &str) -> String {
    match delivery.cause {
        Cause::Exception(exception) if exception.vector == Vector::DoubleFault => {
            format!("{:<9}{name}", "becomes")
        }
        _ => format!("{:<9}{name} while that was delivered", "then"),
    }
}

/// The page walks of the addresses that faulted, or of the instruction pointer where there is no
/// code.
fn walks(failure: &Failure<'_>, rip: u64) -> Vec<(String, Vec<String>)> {
    let fatal = match failure.outcome {
        Some(Outcome::TripleFault) => fault::chain(failure.deliveries),
        _ => &[],
    };
    let mut wanted: Vec<(u64, u64)> = Vec::new();
    for delivery in fatal {
        if let Cause::Exception(exception) = delivery.cause
            && exception.vector == Vector::PageFault
            && !wanted.iter().any(|(address, _)| address >> 12 == exception.payload >> 12)
        {
            wanted.push((exception.payload, exception.error_code.unwrap_or_default().into()));
        }
    }
    wanted.truncate(MAX_WALKS);
    let guest = Guest { state: failure.state, ram: failure.ram };
    if wanted.is_empty() && guest.read(rip, 1).is_empty() {
        wanted.push((rip, PageFaultErrorCode::INSTRUCTION_FETCH.bits()));
    }
    let walk = |(linear, code): (u64, u64)| {
        let walk = explain(failure.state, failure.ram, linear);
        let mut lines: Vec<_> = walk.entries.iter().map(ToString::to_string).collect();
        let verdict = match walk.denial(PageFaultErrorCode::from_bits_truncate(code)) {
            Some(denial) => denial.to_string(),
            None => walk.outcome.to_string(),
        };
        lines.push(verdict);
        (format!("page walk of {linear:#x}"), lines)
    };
    wanted.into_iter().map(walk).collect()
}

fn unclaimed(accesses: &[Unclaimed]) -> Vec<String> {
    let line = |unclaimed: &Unclaimed| {
        let Unclaimed { access, write, count: times } = unclaimed;
        let (space, digits) = match access.space {
            Space::Port => ("port", 6),
            Space::Memory => ("memory", 12),
        };
        let verb = if *write { "write" } else { "read" };
        let bytes = if access.size == 1 { "byte" } else { "bytes" };
        let (address, size) = (access.address, access.size);
        let times = count(*times);
        format!("{space:<6} {address:#0digits$x}  {verb:<5} of {size} {bytes}, {times} ×")
    };
    let mut lines: Vec<_> = accesses.iter().take(MAX_UNCLAIMED).map(line).collect();
    if let Some(more @ 1..) = accesses.len().checked_sub(MAX_UNCLAIMED) {
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests;

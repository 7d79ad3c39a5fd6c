//! The code where the guest ended, and the calls that led there.

use std::fmt::Write;

use crate::diagnose::backtrace::{self, Method};
use crate::diagnose::disassemble::{Code, Line, MAX_INSTRUCTION_BYTES, MAX_LEAD_BYTES};
use crate::diagnose::guest::Guest;
use crate::diagnose::symbolize::{Symbol, Symbolizer};

/// Instructions shown before the one where the guest ended.
const BEFORE: usize = 4;
/// Instructions shown after it.
const AFTER: usize = 2;
/// Functions listed into which the instruction's own was inlined.
const MAX_INLINED: usize = 3;

/// The instructions around the one that ended the run, which `here` describes: the one at the
/// instruction pointer, or, if it is `behind` that, the one before.
pub(super) fn listing(
    guest: &Guest<'_>,
    symbolizer: &Symbolizer,
    here: &Symbol,
    behind: bool,
) -> Vec<String> {
    let rip = guest.code_address(guest.state.rip);
    let after = (AFTER + 1) * MAX_INSTRUCTION_BYTES;
    let (address, bytes) = guest.read_around(rip, MAX_LEAD_BYTES, after);
    let code = Code { bytes: &bytes, address, bitness: guest.state.bitness() };
    let start =
        here.name.as_ref().and_then(|(_, offset)| rip.checked_sub(*offset + u64::from(behind)));
    let (lines, next) = code.around(rip, start, BEFORE, AFTER);
    let current = next.saturating_sub(behind.into());
    if lines.is_empty() {
        return vec![format!("there is no memory at the instruction pointer, {rip:#x}")];
    }

    let targets: Vec<_> = lines.iter().map(|line| line.target.unwrap_or_default()).collect();
    let names = symbolizer.look_up(&targets);
    let mut listing = Vec::new();
    for (index, (line, name)) in lines.iter().zip(&names).enumerate() {
        listing.push(instruction(line, index == current, name));
        if index == current && !behind {
            let operand = code.operand_address(rip, guest.state);
            listing
                .extend(operand.map(|operand| format!("{:45}its operand is at {operand:#x}", "")));
        }
    }
    listing.extend(here.frames.iter().take(MAX_INLINED + 1).enumerate().filter_map(
        |(index, frame)| {
            let (file, line) = frame.location.as_ref()?;
            let function = frame.function.as_deref().unwrap_or("an unnamed function");
            let verb = if index == 0 { "in" } else { "inlined into" };
            Some(format!("{verb} {function}, {file}:{line}"))
        },
    ));
    listing
}

fn instruction(line: &Line, current: bool, target: &Symbol) -> String {
    let marker = if current { '>' } else { ' ' };
    let mut bytes = String::new();
    for byte in &line.bytes {
        // Writing to a string can't fail.
        let _ = write!(bytes, "{byte:02x} ");
    }
    let text = format!("{marker} {:016x}  {bytes:<24} {}", line.address, line.text);
    match target.name.as_ref().filter(|_| line.target.is_some()) {
        Some((name, 0)) => format!("{text}  ; {name}"),
        Some((name, offset)) => format!("{text}  ; {name}+{offset:#x}"),
        None => text,
    }
}

/// The callers, the innermost first.
pub(super) fn callers(guest: &Guest<'_>, symbolizer: &Symbolizer) -> Vec<String> {
    let (method, addresses) = backtrace::callers(guest);
    // The call is before the address to which it returns, which may be another line's, or even
    // another function's.
    let calls: Vec<_> =
        addresses.iter().map(|&address| guest.code_address(address).wrapping_sub(1)).collect();
    let mut lines: Vec<_> = symbolizer
        .look_up(&calls)
        .into_iter()
        .zip(&calls)
        .map(|(mut symbol, call)| {
            if let Some((_, offset)) = &mut symbol.name {
                *offset += 1;
            }
            format!("{:016x}  {symbol}", call.wrapping_add(1))
        })
        .collect();
    if method == Method::StackScan && !lines.is_empty() {
        lines.push(
            "(found by searching the stack; some may be remains of earlier calls)".to_owned(),
        );
    }
    lines
}

//! Exceptions in words: what an error code says, and why a delivery failed.

use monovisor_core::CpuState;
use monovisor_core::state::{Exception, SegmentRegister, Vector};
use monovisor_core::{Cause, Delivery};

/// The deliveries that led to the end: the first that arose from no other, and all after it.
pub fn chain(deliveries: &[Delivery]) -> &[Delivery] {
    let origin = deliveries.iter().rposition(|delivery| !delivery.nested);
    &deliveries[origin.unwrap_or_default()..]
}

/// The last of `deliveries`: at most `limit` of them that begin where nothing was nested, or if the
/// last chain alone is longer, that.
pub fn last(deliveries: &[Delivery], limit: usize) -> &[Delivery] {
    let earliest = deliveries.len().saturating_sub(limit);
    let origin = deliveries.iter().skip(earliest).position(|delivery| !delivery.nested);
    origin.map_or_else(|| chain(deliveries), |offset| &deliveries[earliest + offset..])
}

/// `#PF page fault`, `interrupt 32`.
pub fn name(cause: Cause) -> String {
    match cause {
        Cause::Exception(exception) => {
            format!("{} {}", exception.vector.mnemonic(), title(exception.vector))
        }
        Cause::Interrupt(vector) => format!("interrupt {vector}"),
        Cause::Nmi => "NMI non-maskable interrupt".to_owned(),
    }
}

/// The vector's name (SDM, "Protected-Mode Exceptions and Interrupts").
fn title(vector: Vector) -> &'static str {
    match vector {
        Vector::DivideError => "divide error",
        Vector::Debug => "debug exception",
        Vector::NonMaskableInterrupt => "non-maskable interrupt",
        Vector::Breakpoint => "breakpoint",
        Vector::Overflow => "overflow",
        Vector::BoundRange => "bound range exceeded",
        Vector::InvalidOpcode => "invalid opcode",
        Vector::DeviceNotAvailable => "device not available",
        Vector::DoubleFault => "double fault",
        Vector::InvalidTss => "invalid TSS",
        Vector::SegmentNotPresent => "segment not present",
        Vector::StackFault => "stack fault",
        Vector::GeneralProtection => "general protection",
        Vector::PageFault => "page fault",
        Vector::X87FloatingPoint => "x87 floating-point error",
        Vector::AlignmentCheck => "alignment check",
        Vector::MachineCheck => "machine check",
        Vector::SimdFloatingPoint => "SIMD floating-point exception",
    }
}

/// What the error code and the payload say beyond the name.
pub fn detail(exception: &Exception) -> Option<String> {
    let code = exception.error_code?;
    match exception.vector {
        Vector::PageFault => Some(page_fault(exception.payload, code)),
        Vector::DoubleFault | Vector::AlignmentCheck => None,
        _ if code == 0 => Some("no selector is to blame (error code 0)".to_owned()),
        _ => Some(format!("because of {} (error code {code:#x})", culprit(code))),
    }
}

/// Bits of a page fault's error code (SDM, "Page-Fault Exceptions").
const PROTECTION: u32 = 1;
const WRITE: u32 = 1 << 1;
const USER: u32 = 1 << 2;
const RESERVED: u32 = 1 << 3;
const FETCH: u32 = 1 << 4;
const PROTECTION_KEY: u32 = 1 << 5;
const SHADOW_STACK: u32 = 1 << 6;

fn page_fault(address: u64, code: u32) -> String {
    let access = match code {
        _ if code & SHADOW_STACK != 0 => "shadow-stack access to",
        _ if code & FETCH != 0 => "instruction fetch from",
        _ if code & WRITE != 0 => "write to",
        _ => "read from",
    };
    let who = if code & USER != 0 { "user mode" } else { "supervisor mode" };
    let why = match code {
        _ if code & PROTECTION == 0 => "the page is not present",
        _ if code & RESERVED != 0 => "a paging entry has reserved bits set",
        _ if code & PROTECTION_KEY != 0 => "the protection key forbids it",
        _ => "the page forbids it",
    };
    format!("{access} {address:#x} by {who}: {why} (error code {code:#x})")
}

/// Bits of a selector error code (SDM, "Error Code").
const IDT: u32 = 1 << 1;
const LDT: u32 = 1 << 2;

fn culprit(code: u32) -> String {
    let index = code >> 3 & 0x1fff;
    match code {
        _ if code & IDT != 0 => format!("IDT entry {index}"),
        _ if code & LDT != 0 => format!("LDT entry {index}, selector {:#x}", code & 0xfffc),
        _ => format!("GDT entry {index}, selector {:#x}", code & 0xfffc),
    }
}

/// Why the delivery that raised `second` failed, as a clause; `None` where nothing is clear.
pub fn obstacle(state: &CpuState, second: &Exception) -> Option<String> {
    let code = second.error_code.unwrap_or_default();
    let linear = second.payload;
    let table = |name: &str, base: u64, limit: u32| {
        let inside = linear.checked_sub(base).is_some_and(|offset| offset <= u64::from(limit));
        inside.then(|| format!("the {name} at {base:#x} is not readable memory"))
    };
    match second.vector {
        Vector::PageFault => {
            let task = state.segments[SegmentRegister::Tr];
            table("IDT", state.idtr.base, state.idtr.limit.into())
                .or_else(|| table("GDT", state.gdtr.base, state.gdtr.limit.into()))
                .or_else(|| table("TSS", task.base, task.limit))
                .or_else(|| {
                    let push = code & (WRITE | USER) == WRITE;
                    push.then(|| format!("the handler's stack at {linear:#x} can't be written"))
                })
        }
        Vector::GeneralProtection | Vector::SegmentNotPresent if code & IDT != 0 => {
            Some(gate(state, code >> 3 & 0xff, second.vector))
        }
        Vector::SegmentNotPresent | Vector::GeneralProtection if code & !3 != 0 => {
            Some(format!("{} is no code segment that a handler can run in", culprit(code)))
        }
        Vector::InvalidTss => {
            Some(format!("the TSS names a stack segment that can't be used ({})", culprit(code)))
        }
        Vector::StackFault => Some(
            "the handler's stack pointer is not canonical or is outside its segment".to_owned(),
        ),
        _ => None,
    }
}

/// What is wrong with an IDT entry that could not be used.
fn gate(state: &CpuState, vector: u32, raised: Vector) -> String {
    let limit = state.idtr.limit;
    let entry_bytes = if state.long_mode() { 16 } else { 8 };
    let end = vector * entry_bytes + entry_bytes - 1;
    match raised {
        _ if limit == 0 => "no IDT is loaded (its limit is 0)".to_owned(),
        _ if end > u32::from(limit) => {
            format!("the IDT ends before entry {vector} (its limit is {limit:#x})")
        }
        Vector::SegmentNotPresent => format!("IDT entry {vector} is not present"),
        _ => format!("IDT entry {vector} is not a valid gate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_become_sentences() {
        let table = [
            (Exception::UD, None),
            (Exception::GP0, Some("no selector is to blame (error code 0)")),
            (Exception::gp(0x13), Some("because of GDT entry 2, selector 0x10 (error code 0x10)")),
            (
                Exception::with_code(Vector::GeneralProtection, 0x72),
                Some("because of IDT entry 14 (error code 0x72)"),
            ),
            (
                Exception::with_code(Vector::InvalidTss, 0x1c),
                Some("because of LDT entry 3, selector 0x1c (error code 0x1c)"),
            ),
            (
                Exception::page_fault(0xdead_0000, 2),
                Some(
                    "write to 0xdead0000 by supervisor mode: the page is not present (error code 0x2)",
                ),
            ),
            (
                Exception::page_fault(0x1000, 0x15),
                Some(
                    "instruction fetch from 0x1000 by user mode: the page forbids it (error code 0x15)",
                ),
            ),
            (
                Exception::page_fault(0, 9),
                Some(
                    "read from 0x0 by supervisor mode: a paging entry has reserved bits set (error code 0x9)",
                ),
            ),
            (Exception::with_code(Vector::DoubleFault, 0), None),
        ];
        for (exception, expected) in table {
            assert_eq!(detail(&exception).as_deref(), expected);
        }
    }

    #[test]
    fn an_idt_that_is_missing_short_or_unmapped_is_recognised() {
        let mut state = CpuState::reset(0);
        let idt = |vector: u32| Exception::with_code(Vector::GeneralProtection, vector << 3 | 2);
        state.idtr.limit = 0;
        assert_eq!(obstacle(&state, &idt(14)).unwrap(), "no IDT is loaded (its limit is 0)");
        state.idtr.limit = 0x57;
        assert_eq!(
            obstacle(&state, &idt(14)).unwrap(),
            "the IDT ends before entry 14 (its limit is 0x57)"
        );
        assert_eq!(obstacle(&state, &idt(3)).unwrap(), "IDT entry 3 is not a valid gate");
        state.idtr.base = 0x5000;
        let unmapped = Exception::page_fault(0x5050, 0);
        assert_eq!(
            obstacle(&state, &unmapped).unwrap(),
            "the IDT at 0x5000 is not readable memory"
        );
        state.gdtr.limit = 0x37;
        state.segments[SegmentRegister::Tr].limit = 0x67;
        let push = Exception::page_fault(0x9ff8, 2);
        assert_eq!(
            obstacle(&state, &push).unwrap(),
            "the handler's stack at 0x9ff8 can't be written"
        );
    }

    #[test]
    fn a_chain_begins_where_nothing_was_nested() {
        let delivery = |nested| Delivery { cause: Cause::Nmi, nested, rip: 0, cs: 8, cr2: 0 };
        let deliveries = [false, false, true, true].map(delivery);
        assert_eq!(chain(&deliveries).len(), 3);
        assert_eq!(chain(&deliveries[2..]).len(), 2);
        assert_eq!(chain(&[]).len(), 0);
        for (limit, length) in [(0, 3), (1, 3), (3, 3), (4, 4), (9, 4)] {
            assert_eq!(last(&deliveries, limit).len(), length, "{limit}");
        }
        assert_eq!(last(&[], 3).len(), 0);
    }
}

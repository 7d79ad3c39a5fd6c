//! Registers in columns, with the bits of those that consist of bits named.

use std::fmt::Write;

use monovisor_core::CpuState;
use monovisor_core::state::{Register, Segment, SegmentRegister};

use super::text::flags;

const RFLAGS: &[(u32, &str)] = &[
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
    (14, "NT"),
    (16, "RF"),
    (17, "VM"),
    (18, "AC"),
    (19, "VIF"),
    (20, "VIP"),
    (21, "ID"),
];

const CR0: &[(u32, &str)] = &[
    (0, "PE"),
    (1, "MP"),
    (2, "EM"),
    (3, "TS"),
    (4, "ET"),
    (5, "NE"),
    (16, "WP"),
    (18, "AM"),
    (29, "NW"),
    (30, "CD"),
    (31, "PG"),
];

const CR4: &[(u32, &str)] = &[
    (0, "VME"),
    (1, "PVI"),
    (2, "TSD"),
    (3, "DE"),
    (4, "PSE"),
    (5, "PAE"),
    (6, "MCE"),
    (7, "PGE"),
    (8, "PCE"),
    (9, "OSFXSR"),
    (10, "OSXMMEXCPT"),
    (11, "UMIP"),
    (12, "LA57"),
    (13, "VMXE"),
    (14, "SMXE"),
    (16, "FSGSBASE"),
    (17, "PCIDE"),
    (18, "OSXSAVE"),
    (20, "SMEP"),
    (21, "SMAP"),
    (22, "PKE"),
    (23, "CET"),
    (24, "PKS"),
];

const EFER: &[(u32, &str)] = &[
    (0, "SCE"),
    (8, "LME"),
    (10, "LMA"),
    (11, "NXE"),
    (12, "SVME"),
    (13, "LMSLE"),
    (14, "FFXSR"),
    (15, "TCE"),
];

/// The general registers, RIP and CR2 in three columns.
pub fn general(state: &CpuState) -> Vec<String> {
    use Register::{R8, R9, R10, R11, R12, R13, R14, R15};
    use Register::{Rax, Rbp, Rbx, Rcx, Rdi, Rdx, Rsi, Rsp};
    let order = [Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rbp, Rsp, R8, R9, R10, R11, R12, R13, R14, R15];
    let mut cells: Vec<_> = order.map(|register| (register.name(), state.gpr[register])).into();
    cells.extend([("rip", state.rip), ("cr2", state.control.cr2)]);
    let row = |cells: &[(&str, u64)]| {
        let cells = cells.iter().map(|(name, value)| format!("{name:<3} {value:016x}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    cells.chunks(3).map(row).collect()
}

/// RFLAGS and the other control registers, bit by bit.
pub fn control(state: &CpuState) -> Vec<String> {
    let control = &state.control;
    let rflags = state.rflags.bits();
    let iopl = match rflags >> 12 & 3 {
        0 => String::new(),
        iopl => format!(" IOPL={iopl}"),
    };
    let line = |name: &str, value: u64, names| {
        format!("{name:<6} {value:08x}  {}", flags(value, names)).trim_end().to_owned()
    };
    vec![
        line("rflags", rflags, RFLAGS) + &iopl,
        line("cr0", control.cr0.bits(), CR0),
        line("cr3", control.cr3, &[]),
        line("cr4", control.cr4.bits(), CR4),
        line("efer", control.efer.bits(), EFER),
    ]
}

/// Segment and descriptor-table registers; those with the same content share a line.
pub fn segments(state: &CpuState) -> Vec<String> {
    use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ldtr, Ss, Tr};
    let mut groups: Vec<(String, Segment)> = Vec::new();
    for register in [Cs, Ss, Ds, Es, Fs, Gs, Tr, Ldtr] {
        let segment = state.segments[register];
        match groups.iter_mut().find(|(_, other)| *other == segment) {
            Some((names, _)) => write!(names, " {}", register.name()).unwrap_or_default(),
            None => groups.push((register.name().to_owned(), segment)),
        }
    }
    let width = groups.iter().map(|(names, _)| names.len()).max().unwrap_or_default();
    let mut lines: Vec<_> = groups
        .iter()
        .map(|(names, segment)| {
            let Segment { base, limit, selector, .. } = segment;
            let kind = kind(segment, state.long_mode());
            format!("{names:<width$}  {selector:04x}  base {base:016x}  limit {limit:08x}  {kind}")
        })
        .collect();
    for (name, table) in [("gdt", state.gdtr), ("idt", state.idtr)] {
        let (base, limit) = (table.base, table.limit);
        lines.push(format!("{name:<width$}        base {base:016x}  limit {limit:08x}"));
    }
    lines
}

/// A segment's type in words (SDM, "Code- and Data-Segment Descriptor Types", "System Descriptor
/// Types").
fn kind(segment: &Segment, long_mode: bool) -> String {
    let access = segment.access;
    if access.unusable() || !access.present() {
        return "null".to_owned();
    }
    if !access.code_or_data() {
        let name = match (access.kind(), long_mode) {
            (2, _) => "LDT",
            (9, true) => "64-bit TSS, available",
            (11, true) => "64-bit TSS, busy",
            (1, _) => "16-bit TSS, available",
            (3, _) => "16-bit TSS, busy",
            (9, false) => "32-bit TSS, available",
            (11, false) => "32-bit TSS, busy",
            _ => "system segment",
        };
        return name.to_owned();
    }
    let width = match (access.long(), access.default_big()) {
        (true, _) if long_mode && access.code() => "64-bit ",
        (_, true) if access.code() => "32-bit ",
        (_, false) if access.code() => "16-bit ",
        _ => "",
    };
    let kind = match (access.code(), access.readable_or_writable()) {
        (true, _) => "code",
        (false, true) => "data",
        (false, false) => "read-only data",
    };
    format!("{width}{kind}, ring {}", access.dpl())
}

#[cfg(test)]
mod tests {
    use monovisor_core::state::{Cr0Flags, EferFlags, RFlags};

    use super::*;

    #[test]
    fn registers_stand_in_three_columns() {
        let mut state = CpuState::reset(0);
        state.gpr[Register::Rax] = 0xdead_0000;
        let lines = general(&state);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "rax 00000000dead0000  rbx 0000000000000000  rcx 0000000000000000");
        assert_eq!(lines[5], "r15 0000000000000000  rip 000000000000fff0  cr2 0000000000000000");
    }

    #[test]
    fn bits_have_names() {
        let mut state = CpuState::reset(0);
        state.rflags = RFlags::from_bits_retain(0x3246);
        state.control.cr0 = Cr0Flags::from_bits_retain(0x8001_0011);
        state.control.efer = EferFlags::from_bits_retain(0x500);
        assert_eq!(
            control(&state),
            [
                "rflags 00003246  PF ZF IF IOPL=3",
                "cr0    80010011  PE ET WP PG",
                "cr3    00000000",
                "cr4    00000000",
                "efer   00000500  LME LMA",
            ]
        );
    }

    #[test]
    fn equal_segments_share_a_line() {
        let lines = segments(&CpuState::reset(0));
        assert_eq!(
            lines[0],
            "cs              f000  base 00000000ffff0000  limit 0000ffff  16-bit code, ring 0"
        );
        assert_eq!(
            lines[1],
            "ss ds es fs gs  0000  base 0000000000000000  limit 0000ffff  data, ring 0"
        );
        assert_eq!(
            lines.last().unwrap(),
            "idt                   base 0000000000000000  limit 0000ffff"
        );
    }
}

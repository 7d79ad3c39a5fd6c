//! [`Frame`]: what the interrupted code was doing, as the entry saves it and the return restores it.

use core::fmt;

/// The registers of the interrupted code.
#[allow(missing_docs, reason = "the registers are named as the manual names them")]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// CR2 when the handler was entered.
    pub cr2: u64,
    pub vector: u64,
    /// The error code; 0 for a vector that has none.
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl Frame {
    /// A frame of zeros.
    pub const ZERO: Self = {
        // SAFETY: a frame is 23 integers.
        unsafe { core::mem::zeroed() }
    };

    /// The privilege level of the interrupted code.
    pub fn cpl(&self) -> u8 {
        self.cs as u8 & 3
    }

    /// The vector and the error code: what most tests compare.
    pub fn fault(&self) -> (u64, u64) {
        (self.vector, self.error_code)
    }
}

/// Vectors by the manual's names (SDM, Exception and Interrupt Vectors).
#[allow(missing_docs, reason = "the names are the manual's mnemonics")]
pub mod vector {
    pub const DE: u8 = 0;
    pub const DB: u8 = 1;
    pub const NMI: u8 = 2;
    pub const BP: u8 = 3;
    pub const OF: u8 = 4;
    pub const BR: u8 = 5;
    pub const UD: u8 = 6;
    pub const NM: u8 = 7;
    pub const DF: u8 = 8;
    pub const TS: u8 = 10;
    pub const NP: u8 = 11;
    pub const SS: u8 = 12;
    pub const GP: u8 = 13;
    pub const PF: u8 = 14;
    pub const MF: u8 = 16;
    pub const AC: u8 = 17;
    pub const MC: u8 = 18;
    pub const XM: u8 = 19;
    pub const CP: u8 = 21;

    /// Whether the processor pushes an error code for `vector`.
    pub const fn has_error_code(vector: u8) -> bool {
        matches!(vector, DF | TS..=PF | AC | CP)
    }

    /// The manual's mnemonic.
    pub fn name(vector: u8) -> &'static str {
        match vector {
            DE => "#DE",
            DB => "#DB",
            NMI => "NMI",
            BP => "#BP",
            OF => "#OF",
            BR => "#BR",
            UD => "#UD",
            NM => "#NM",
            DF => "#DF",
            TS => "#TS",
            NP => "#NP",
            SS => "#SS",
            GP => "#GP",
            PF => "#PF",
            MF => "#MF",
            AC => "#AC",
            MC => "#MC",
            XM => "#XM",
            CP => "#CP",
            _ => "interrupt",
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vector = self.vector as u8;
        write!(f, "{} (vector {vector})", vector::name(vector))?;
        if vector::has_error_code(vector) {
            write!(f, ", error code {:#x}", self.error_code)?;
        }
        if vector == vector::PF {
            write!(f, ", address {:#x}", self.cr2)?;
        }
        writeln!(
            f,
            ", at {:#06x}:{:#x}, stack {:#06x}:{:#x}",
            self.cs, self.rip, self.ss, self.rsp
        )?;
        writeln!(f, "rax {:016x} rbx {:016x} rcx {:016x}", self.rax, self.rbx, self.rcx)?;
        writeln!(f, "rdx {:016x} rsi {:016x} rdi {:016x}", self.rdx, self.rsi, self.rdi)?;
        writeln!(f, "rbp {:016x} r8  {:016x} r9  {:016x}", self.rbp, self.r8, self.r9)?;
        writeln!(f, "r10 {:016x} r11 {:016x} r12 {:016x}", self.r10, self.r11, self.r12)?;
        write!(f, "r13 {:016x} r14 {:016x} r15 {:016x}", self.r13, self.r14, self.r15)
    }
}

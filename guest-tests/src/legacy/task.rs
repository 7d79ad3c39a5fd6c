//! What tests of task switches share: the fields of a 32-bit TSS, transfers to the other task, and tables in
//! which that task ends the run at once.

use super::{CODE_0, DATA_0, Legacy, OTHER_TASK, OTHER_TSS, stub};

/// What the other task's code is told by: the vector that it ends with.
pub const MARK: u8 = 0x81;

/// Offsets in a 32-bit TSS.
#[expect(missing_docs, reason = "the manuals name them")]
pub mod field {
    pub const EIP: u32 = 0x20;
    pub const EFLAGS: u32 = 0x24;
    pub const EAX: u32 = 0x28;
    pub const ESP: u32 = 0x38;
    pub const ES: u32 = 0x48;
    pub const CS: u32 = 0x4c;
    pub const SS: u32 = 0x50;
    pub const DS: u32 = 0x54;
    pub const LDT: u32 = 0x60;
    pub const TRAP: u32 = 0x64;
}

/// JMP far to the other task, and UD2 behind it.
pub const JMP: &[u8] = &[0xea, 0, 0, 0, 0, OTHER_TASK as u8, 0, 0x0f, 0x0b];
/// CALL far to the other task, and UD2 behind it.
pub const CALL: &[u8] = &[0x9a, 0, 0, 0, 0, OTHER_TASK as u8, 0, 0x0f, 0x0b];

impl Legacy {
    /// Tables in which the other task ends the run at once.
    pub fn with_other_task() -> Self {
        let mut legacy = Self::new();
        legacy.write(OTHER_TSS + field::EIP, stub(MARK));
        legacy
    }

    /// Writes a 32-bit TSS of privilege level 0, in flat segments.
    pub fn write_task(&mut self, tss: u32, eip: u32, esp: u32) {
        let (code, data) = (CODE_0.into(), DATA_0.into());
        for (offset, value) in [
            (field::EIP, eip),
            (field::EFLAGS, 2),
            (field::ESP, esp),
            (field::ES, data),
            (field::CS, code),
            (field::SS, data),
            (field::DS, data),
        ] {
            self.write(tss + offset, value);
        }
    }

    /// Whether the descriptor of a task says that it is busy.
    pub fn is_busy(&self, task: u16) -> bool {
        self.descriptor(task) >> 41 & 1 != 0
    }
}

//! The host's own processor as the oracle: executes the bytes of an instruction with given
//! registers, and compares with what the interpreter makes of them.

use std::arch::asm;
use std::{ptr, slice};

use monovisor_core::state::{RFlags, Register};

use super::guest::{CODE, DATA, End, Guest};
use super::numbers::Numbers;

/// The general registers that tests use, the memory operand at R9, and the status flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub r8: u64,
    pub memory: Vec<u8>,
    pub flags: u64,
}

/// Registers by their numbers in [`Machine`]'s order.
const REGISTERS: [Register; 5] =
    [Register::Rax, Register::Rcx, Register::Rdx, Register::Rbx, Register::R8];

/// CF, PF, AF, ZF, SF, OF.
pub const ALL: u64 = 0x8d5;
pub const CF: u64 = 1;
pub const PF: u64 = 4;
pub const AF: u64 = 0x10;
pub const ZF: u64 = 0x40;
pub const SF: u64 = 0x80;
pub const OF: u64 = 0x800;

impl Machine {
    /// Random operands.
    pub fn random(numbers: &mut Numbers) -> Self {
        let mut memory = Vec::new();
        for _ in 0..4 {
            memory.extend(numbers.operand().to_le_bytes());
        }
        Self {
            rax: numbers.operand(),
            rcx: numbers.operand(),
            rdx: numbers.operand(),
            rbx: numbers.operand(),
            r8: numbers.operand(),
            memory,
            flags: numbers.next() & ALL,
        }
    }

    fn registers(&mut self) -> [&mut u64; 5] {
        [&mut self.rax, &mut self.rcx, &mut self.rdx, &mut self.rbx, &mut self.r8]
    }
}

/// A page of the host that holds code and a return.
pub struct Page(*mut u8);

impl Page {
    const BYTES: usize = 4096;

    pub fn new() -> Self {
        // SAFETY: a new private mapping.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::BYTES,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED, "the host gives executable memory");
        Self(page.cast())
    }

    /// Puts code in place.
    pub fn assemble(&mut self, code: &[u8]) {
        const RET: u8 = 0xc3;
        // SAFETY: the page is this value's own.
        let page = unsafe { slice::from_raw_parts_mut(self.0, Self::BYTES) };
        page[..code.len()].copy_from_slice(code);
        page[code.len()] = RET;
    }

    /// Where it is.
    pub fn start(&self) -> *const u8 {
        self.0
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: nothing else knows the mapping.
        unsafe { libc::munmap(self.0.cast(), Self::BYTES) };
    }
}

/// The host's processor for instructions on [`Machine`].
pub struct Native(Page);

impl Native {
    pub fn new() -> Self {
        Self(Page::new())
    }

    /// Executes `code`, which may use the registers and the memory of `machine` alone.
    fn execute(&mut self, code: &[u8], machine: &mut Machine) {
        self.0.assemble(code);
        let Machine { rax, rcx, rdx, rbx, r8, memory, flags } = machine;
        // SAFETY: the code touches these registers and the memory at R9, as the callers' do; RBX
        // belongs to the compiler and is exchanged in and out.
        unsafe {
            asm!(
                "xchg rbx, r14",
                "push r15",
                "popfq",
                "call r13",
                "pushfq",
                "pop r15",
                "cld",
                "xchg rbx, r14",
                inout("rax") *rax,
                inout("rcx") *rcx,
                inout("rdx") *rdx,
                inout("r14") *rbx,
                inout("r8") *r8,
                in("r9") memory.as_mut_ptr().add(memory.len() / 2),
                in("r13") self.0.start(),
                inout("r15") *flags | 2 => *flags,
                // R10 to R12 hold nothing that matters.
                out("r10") _, out("r11") _, out("r12") _, out("rsi") _, out("rdi") _,
            );
        }
        *flags &= ALL;
    }
}

/// Executes `code` here and there with these operands: registers and memory must agree, and so must
/// the flags in `defined`. R9 points to the middle of the memory.
pub fn compare(
    native: &mut Native,
    guest: &mut Guest,
    name: &str,
    code: &[u8],
    machine: &Machine,
    defined: u64,
) {
    let mut expected = machine.clone();
    native.execute(code, &mut expected);

    let mut start = machine.clone();
    guest.ram.write(DATA, &start.memory);
    guest.state.rip = CODE;
    guest.set(Register::R9, DATA + start.memory.len() as u64 / 2);
    for (register, value) in REGISTERS.into_iter().zip(start.registers()) {
        guest.set(register, *value);
    }
    guest.state.rflags = RFlags::from_bits_retain(start.flags | 2);
    let end = guest.run(code);
    assert_eq!(end, End::Done, "{name}: {code:02x?} on {machine:x?}");

    let mut found = Machine {
        memory: guest.bytes(DATA, start.memory.len()),
        flags: guest.state.rflags.bits() & ALL,
        ..Machine::default()
    };
    for (register, value) in REGISTERS.into_iter().zip(found.registers()) {
        *value = guest.get(register);
    }
    expected.flags &= defined;
    found.flags &= defined;
    assert_eq!(found, expected, "{name}: {code:02x?} on {machine:x?}: found, then expected");
}

/// Compares each row, a name with code and its defined flags, on random operands.
pub fn compare_all(rows: &[(&str, &[u8], u64)], rounds: usize) {
    let (mut native, mut guest) = (Native::new(), Guest::long_mode());
    let mut numbers = Numbers(1);
    for &(name, code, defined) in rows {
        for _ in 0..rounds {
            let machine = Machine::random(&mut numbers);
            compare(&mut native, &mut guest, name, code, &machine, defined);
        }
    }
}

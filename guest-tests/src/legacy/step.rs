//! Steps under a paging mode that 64-bit mode has not: each is an access or a write to a control register, and
//! tells what it raised; the steps behind it are made all the same.

use super::{CODE, CODE_0, Context, DATA, END, Legacy, STACK, gate, kind};
use crate::interrupt::vector::{GP, PF};
use crate::register::cr0::WP;
use crate::snippet;

/// As many as there is room for.
const MOST: usize = 0x100;
/// Where in the code the handlers of #PF and #GP are.
const HANDLERS: [(u8, u32); 2] = [(PF, 0x80), (GP, 0x90)];

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Reads the byte at the address.
    Read,
    /// Writes the low byte of the value there.
    Write,
    /// Calls what is there.
    Fetch,
    /// Loads CR3 with the address.
    LoadCr3,
    /// Stores the value, four bytes, at the address.
    Store,
    /// Inverts CR4.PGE.
    InvertPge,
    /// Inverts CR0.CD.
    InvertCd,
}

/// One step.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Step {
    action: Action,
    address: u32,
    /// What is written, or was read.
    value: u32,
    /// Vector and error code of what it raised, or all ones.
    raised: u32,
}

impl Step {
    /// A step without a value.
    pub const fn new(action: Action, address: u32) -> Self {
        Self::with(action, address, 0)
    }

    /// A step that writes `value`.
    pub const fn with(action: Action, address: u32, value: u32) -> Self {
        Self { action, address, value, raised: u32::MAX }
    }

    /// The value that it read, or what it raised: the vector and the error code.
    pub fn result(&self) -> Result<u32, (u8, u16)> {
        match self.raised {
            u32::MAX => Ok(if self.action == Action::Read { self.value } else { 0 }),
            raised => Err(((raised >> 16) as u8, raised as u16)),
        }
    }
}

/// Makes the steps with CR0.WP set, under the paging that `cr4` chooses and the tables at `cr3`, which map the
/// first MiB and the guest one to one, whatever the steps change.
///
/// # Panics
/// If anything but #PF and #GP comes, or there are too many steps.
pub fn run(cr3: u64, cr4: u64, steps: &mut [Step]) {
    /// Ends the steps: no action has this number.
    const NONE: u32 = u8::MAX as u32;
    assert!(steps.len() <= MOST, "there is no room for {} steps", steps.len());
    let mut legacy = Legacy::new();
    for (vector, offset) in HANDLERS {
        legacy.set_gate(vector, gate(CODE_0, CODE + offset, kind::INTERRUPT, 0));
    }
    let places = (DATA..).step_by(size_of::<Step>());
    for (place, step) in places.clone().zip(&*steps) {
        legacy.write(place, *step);
    }
    legacy.write(DATA + size_of_val(steps) as u32, NONE);
    let context = Context {
        registers: [0, DATA, 0, STACK],
        cr3: cr3 as u32,
        cr4: cr4 as u32,
        cr0: WP as u32,
        ..Context::LEVEL_0
    };
    let caught = legacy.run(&context, code());
    assert!(caught.vector == END.into(), "the steps ended in {:x?}", caught.fault());
    for (place, step) in places.zip(steps) {
        *step = legacy.read(place);
    }
}

/// EBX is the next step, EDX the stack's end.
fn code() -> &'static [u8] {
    const { assert!(HANDLERS[0].1 == 0x80 && HANDLERS[1].1 == 0x90 && END == 0x80) };
    snippet!(
        ".code32",
        "2: mov eax, [ebx]",
        "mov esi, [ebx + 4]",
        "mov ebp, [ebx + 8]",
        "dec eax",
        "js 3f",
        "jz 4f",
        "dec eax",
        "jz 5f",
        "dec eax",
        "jz 6f",
        "dec eax",
        "jz 7f",
        "dec eax",
        "jz 8f",
        "dec eax",
        "jz 9f",
        "int 0x80",
        "3: movzx eax, byte ptr [esi]",
        "mov [ebx + 8], eax",
        "jmp 20f",
        "4: mov eax, ebp",
        "mov [esi], al",
        "jmp 20f",
        "5: call esi",
        "jmp 20f",
        "6: mov cr3, esi",
        "jmp 20f",
        "7: mov [esi], ebp",
        "jmp 20f",
        "8: mov eax, cr4",
        "btc eax, 7",
        "mov cr4, eax",
        "jmp 20f",
        "9: mov eax, cr0",
        "btc eax, 30",
        "mov cr0, eax",
        "20: add ebx, 16",
        "jmp 2b",
        // What was raised: the error code below the vector.
        ".skip 0x80 - (. - 771b), 0x90",
        "pop eax",
        "or eax, 14 << 16",
        "jmp 21f",
        ".skip 0x90 - (. - 771b), 0x90",
        "pop eax",
        "or eax, 13 << 16",
        "21: mov [ebx + 12], eax",
        "mov esp, edx",
        "jmp 20b",
        ".code64",
    )
}

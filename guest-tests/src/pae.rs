//! PAE paging for a while: out of IA-32e mode, a few steps under tables of the caller's, and back. Each step
//! is an access or a write to a control register, and tells what it raised.

use core::ptr;

use crate::interrupt::{self, vector};
use crate::segment::KERNEL_CODE_32;
use crate::{low, snippet};

/// Where the steps are while they are made.
const STEPS: *mut Step = 0x7000 as *mut _;
/// As many as there is room for.
const MOST: usize = 0x60;
/// The 32-bit IDT.
const IDT: *mut u64 = 0x6000 as *mut _;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
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
    kind: Kind,
    address: u32,
    /// What is written, or was read.
    value: u32,
    /// Vector and error code of what it raised, or all ones.
    raised: u32,
}

impl Step {
    /// A step without a value.
    pub const fn new(kind: Kind, address: u32) -> Self {
        Self::with(kind, address, 0)
    }

    /// A step that writes `value`.
    pub const fn with(kind: Kind, address: u32, value: u32) -> Self {
        Self { kind, address, value, raised: u32::MAX }
    }

    /// The value that it read, or what it raised: the vector and the error code.
    pub fn result(&self) -> Result<u32, (u8, u16)> {
        match self.raised {
            u32::MAX => Ok(if self.kind == Kind::Read { self.value } else { 0 }),
            raised => Err(((raised >> 16) as u8, raised as u16)),
        }
    }
}

/// Makes the steps under PAE paging with the PDPTEs at `pointers`, CR0.WP and EFER.NXE set.
///
/// # Safety
/// The tables map the guest's code, data and stack one to one, whatever the steps change.
pub unsafe fn run(pointers: u64, steps: &mut [Step]) {
    // 180: the handler of #PF, 190: that of #GP, 1c0: the IDT's pointer.
    let code = snippet!(
        ".code32",
        "22:",
        // Out of IA-32e mode; CR4.PAE stays.
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "btr eax, 8",
        "bts eax, 11",
        "wrmsr",
        "lidt [0x81c0]",
        "mov edx, cr3",
        "mov cr3, esi",
        "mov eax, cr0",
        "bts eax, 31",
        "bts eax, 16",
        "mov cr0, eax",
        "mov [0x77f8], esp",
        "mov ebx, 0x7000",
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
        // And back.
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov cr3, edx",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "bts eax, 8",
        "wrmsr",
        "mov eax, cr0",
        "bts eax, 31",
        "mov cr0, eax",
        "push 8",
        "push edi",
        "retf",
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
        ".skip 0x180 - (. - 22b), 0x90",
        "pop eax",
        "or eax, 14 << 16",
        "jmp 21f",
        ".skip 0x190 - (. - 22b), 0x90",
        "pop eax",
        "or eax, 13 << 16",
        "21: mov [ebx + 12], eax",
        "mov esp, [0x77f8]",
        "jmp 20b",
        ".skip 0x1c0 - (. - 22b), 0x90",
        ".short 0x7f",
        ".long 0x6000",
        ".code64",
    );
    /// Ends the steps: no kind has this number.
    const END: u32 = u8::MAX as u32;
    assert!(steps.len() <= MOST, "there is no room for {} steps", steps.len());
    // SAFETY: nothing else uses this memory below 1 MiB; interrupts are off, the code leaves all as it was, and
    // the caller vouches for the tables.
    unsafe {
        for (vector, offset) in [(vector::PF, 0x180), (vector::GP, 0x190)] {
            let target = (low::ADDRESS + offset) | u64::from(KERNEL_CODE_32) << 16;
            ptr::write_volatile(IDT.add(vector.into()), 0x8e00_u64 << 32 | target);
        }
        ptr::copy_nonoverlapping(steps.as_ptr(), STEPS, steps.len());
        ptr::write_volatile(STEPS.add(steps.len()).cast::<u32>(), END);
        low::execute(code, pointers);
        interrupt::load_idt(0xfff);
        ptr::copy_nonoverlapping(STEPS, steps.as_mut_ptr(), steps.len());
    }
}

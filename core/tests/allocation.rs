//! A processor takes its storage when it is made. Whatever a guest then does, running takes no more: new code
//! for ever, faults for ever, devices for ever.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::guest::{CODE, DATA, End, Guest, PAGES, WRITABLE};
use monovisor_core::state::{Activity, DescriptorTable, Register};
use monovisor_core::{Engine, Exit};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

// SAFETY: all is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends may have no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: upheld by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: upheld by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const INSTRUCTIONS: u64 = 6_000_000;

/// Runs `code`, which is endless, and demands that nothing is allocated meanwhile. How often the host was
/// asked for something.
fn runs_without_allocations(guest: &mut Guest, code: &[u8]) -> u64 {
    // The decoder makes its tables when a process decodes for the first time.
    assert_eq!(Guest::long_mode().run(&[0x90]), End::Done);
    guest.ram.write(CODE, code);
    guest.state.activity = Activity::Active;
    guest.vcpu.set_state(&guest.state);
    let end = guest.vcpu.retired() + INSTRUCTIONS;
    let mut exits = 0;
    let before = ALLOCATIONS.get();
    while guest.vcpu.retired() < end {
        match guest.vcpu.run(end - guest.vcpu.retired()) {
            Exit::Budget => {}
            Exit::Read(_) => guest.vcpu.answer(exits),
            Exit::Write(..) => {}
            other => panic!("{other:?}"),
        }
        exits += 1;
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations while the guest ran");
    exits
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(0_u8)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

/// Each call is of code that was never there: `add eax, ecx as a constant; ret`, seven bytes further on.
#[test]
fn new_code_for_ever() {
    const NEW_CODE: [u8; 36] = [
        0xc6, 0x07, 0x05, // mov byte ptr [rdi], 5
        0x89, 0x4f, 0x01, // mov [rdi + 1], ecx
        0xc6, 0x47, 0x05, 0xc3, // mov byte ptr [rdi + 5], 0xc3
        0xff, 0xd7, // call rdi
        0x48, 0x83, 0xc7, 0x07, // add rdi, 7
        0x48, 0x81, 0xff, 0, 0, 0x60, 0, // cmp rdi, 0x600000
        0x72, 0x07, // jb
        0x48, 0xc7, 0xc7, 0, 0, 0x20, 0, // mov rdi, 0x200000
        0xff, 0xc1, // inc ecx
        0xeb, 0xdc, // jmp
    ];
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, DATA);
    runs_without_allocations(&mut guest, &NEW_CODE);
    let calls = guest.vcpu.state().gpr[Register::Rcx];
    assert!(calls > 500_000, "{calls} pieces of code were executed");
}

/// Page faults, undefined opcodes and interrupts of software's, each in turn.
#[test]
fn faults_for_ever() {
    const IDT: u64 = DATA + 0x1000;
    const GDT: u64 = DATA + 0x3000;
    let mut guest = Guest::long_mode();
    guest.ram.write(GDT + 8, &0x00af_9b00_0000_ffff_u64.to_le_bytes());
    guest.state.gdtr = DescriptorTable { base: GDT, limit: 0xf };
    guest.state.idtr = DescriptorTable { base: IDT, limit: 0xfff };
    for vector in 0..256_u64 {
        // The handler goes on at the other of two places.
        let handler = CODE + 0x100;
        let gate = handler & 0xffff | 8 << 16 | 0x8e00 << 32 | (handler >> 16) << 48;
        guest.ram.write(IDT + 16 * vector, &gate.to_le_bytes());
    }
    // mov rsp, r15; xor r14, 0x40; jmp r14
    let handler = [0x4c, 0x89, 0xfc, 0x49, 0x83, 0xf6, 0x40, 0x41, 0xff, 0xe6];
    guest.ram.write(CODE + 0x100, &handler);
    // ud2 there, and mov rax, [rsi] at the first place.
    guest.ram.write(CODE + 0x40, &[0x0f, 0x0b]);
    guest.set(Register::Rsi, 1 << 40);
    guest.set(Register::R14, CODE);
    let stack = guest.get(Register::Rsp);
    guest.set(Register::R15, stack);
    runs_without_allocations(&mut guest, &[0x48, 0x8b, 0x06]);
    assert!(guest.vcpu.fault_log().iter().count() > 0);
}

/// Every port in turn, and a page where no memory is.
#[test]
fn devices_for_ever() {
    // in al, dx; out dx, al; mov rax, [rsi]; mov [rsi], rax; inc edx; jmp
    let code = [0xec, 0xee, 0x48, 0x8b, 0x06, 0x48, 0x89, 0x06, 0xff, 0xc2, 0xeb, 0xf4];
    let mut guest = Guest::long_mode();
    guest.map_to(PAGES, 0x1000_0000, WRITABLE);
    guest.set(Register::Rsi, PAGES);
    let exits = runs_without_allocations(&mut guest, &code);
    assert!(exits > INSTRUCTIONS / 2, "{exits} exits");
}

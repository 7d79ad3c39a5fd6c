//! Which of several events comes first, and which are held back (SDM, "Priority Among Concurrent Events",
//! "Masking Exceptions and Interrupts When Switching Stacks").

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES};
use monovisor_core::Exit;
use monovisor_core::state::{Cr0Flags, Cr4Flags, RFlags, Register, SegmentRegister, Vector};

const GDT: u64 = 0x6000;
const IDT: u64 = 0x7000;
/// Handlers, 16 bytes each.
const HANDLERS: u64 = 0xa000;
const IRETQ: [u8; 2] = [0x48, 0xcf];
const NOP: u8 = 0x90;
/// A maskable interrupt.
const INTERRUPT: u8 = 0x40;
/// Present, for nobody to write.
const ABSENT: u64 = 0;
const RESUME: u64 = 1 << 16;

/// 64-bit mode whose handlers return at once; all gates are trap gates, so IF stays.
fn handled() -> Guest {
    let mut guest = Guest::long_mode();
    let put = |address: u64, value: u64| assert!(guest.ram.write(address, &value.to_le_bytes()));
    put(GDT + 8, 0x00af_9b00_0000_ffff);
    put(GDT + 16, 0x00cf_9300_0000_ffff);
    for vector in 0..0x50 {
        let handler = HANDLERS + vector * 16;
        put(IDT + vector * 16, handler | 0x08 << 16 | 0x8f00 << 32);
        assert!(guest.ram.write(handler, &IRETQ));
    }
    (guest.state.gdtr.base, guest.state.gdtr.limit) = (GDT, 0x17);
    (guest.state.idtr.base, guest.state.idtr.limit) = (IDT, 0xfff);
    guest.state.rflags |= RFlags::INTERRUPT_FLAG;
    guest
}

fn load(guest: &mut Guest, at: u64, code: &[u8]) {
    assert!(guest.ram.write(at, code));
    guest.vcpu.memory_written(at, code.len() as u64);
    guest.state.rip = at;
    guest.vcpu.set_state(&guest.state);
}

/// One instruction or event; of an event, its vector.
fn step(guest: &mut Guest) -> Option<u8> {
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    let rip = guest.vcpu.state().rip;
    let entry = rip.checked_sub(HANDLERS).filter(|offset| *offset < 0x500 && offset % 16 == 0);
    entry.map(|offset| (offset / 16) as u8)
}

/// Where the handler that was just entered returns to.
fn returns_to(guest: &mut Guest) -> u64 {
    let stack = guest.vcpu.state().gpr[Register::Rsp];
    let bytes = guest.bytes(stack, 8);
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// What occurs during an instruction, all at once.
fn pend_both(guest: &mut Guest) {
    let mut state = guest.vcpu.state().clone();
    state.pending.nmi = true;
    state.pending.interrupt = Some(INTERRUPT);
    guest.vcpu.set_state(&state);
}

#[test]
fn trap_then_nmi_then_interrupt_then_breakpoint_then_fetch() {
    let mut guest = handled();
    // The next instruction has a breakpoint, and is in a page that is not there.
    guest.map(PAGES + 0x1000, ABSENT);
    guest.state.debug.address[0] = PAGES + 0x1000;
    guest.state.debug.dr7 = 0x401;
    guest.state.rflags |= RFlags::TRAP_FLAG;
    load(&mut guest, PAGES + 0xfff, &[NOP]);
    assert_eq!(step(&mut guest), None, "the instruction");
    pend_both(&mut guest);
    assert_eq!(step(&mut guest), Some(1), "its trap");
    assert_eq!(guest.vcpu.state().debug.dr6 & 0x400f, 0x4000);
    assert_eq!(returns_to(&mut guest), PAGES + 0x1000);
    assert_eq!(step(&mut guest), Some(2), "NMI");
    assert_eq!(returns_to(&mut guest), HANDLERS + 16, "before the trap's handler");
    assert_eq!(step(&mut guest), Some(INTERRUPT));
    assert_eq!(returns_to(&mut guest), HANDLERS + 32, "before the NMI's");
    for _ in 0..3 {
        step(&mut guest);
    }
    assert_eq!(guest.vcpu.state().rip, PAGES + 0x1000);
    assert_eq!(step(&mut guest), Some(1), "the breakpoint");
    assert_eq!(guest.vcpu.state().debug.dr6 & 0xf, 1);
    // Its handler sets RF.
    let flags = guest.vcpu.state().gpr[Register::Rsp] + 16;
    let saved = guest.bytes(flags, 4);
    assert_eq!(saved[2] & 1, 0, "RF of an instruction breakpoint");
    guest.ram.write(flags + 2, &[saved[2] | 1]);
    step(&mut guest);
    assert!(guest.vcpu.state().rflags.bits() & RESUME != 0);
    assert_eq!(step(&mut guest), Some(14), "the fetch");
    assert_eq!(guest.vcpu.state().control.cr2, PAGES + 0x1000);
}

#[test]
fn a_load_of_ss_holds_all_of_them_back() {
    let mut guest = handled();
    guest.set(Register::Rax, 16);
    guest.state.debug.address[0] = CODE + 2;
    guest.state.debug.dr7 = 0x401;
    guest.state.rflags |= RFlags::TRAP_FLAG;
    // mov ss, ax; nop; nop
    load(&mut guest, CODE, &[0x8e, 0xd0, NOP, NOP]);
    assert_eq!(step(&mut guest), None);
    pend_both(&mut guest);
    assert_eq!(step(&mut guest), None, "also the breakpoint on what follows");
    assert_eq!(guest.vcpu.state().rip, CODE + 3);
    assert_eq!(step(&mut guest), Some(1), "the trap of what follows");
    assert_eq!(guest.vcpu.state().debug.dr6 & 0x400f, 0x4000);
    assert_eq!([step(&mut guest), step(&mut guest)], [Some(2), Some(INTERRUPT)]);
}

#[test]
fn int1_reports_what_a_load_of_ss_has_held_back() {
    let mut guest = handled();
    guest.set(Register::Rbx, DATA);
    guest.ram.write(DATA, &[16, 0]);
    guest.state.debug.address[0] = DATA;
    // Breakpoint 0 on access to two bytes; general detection, which a debug exception turns off.
    guest.state.debug.dr7 = 0x0007_2401;
    // mov ss, [rbx]; int1; nop
    load(&mut guest, CODE, &[0x8e, 0x13, 0xf1, NOP]);
    assert_eq!([step(&mut guest), step(&mut guest)], [None, Some(1)]);
    assert_eq!(returns_to(&mut guest), CODE + 3);
    let debug = guest.vcpu.state().debug;
    assert_eq!((debug.dr6 & 0xf, debug.dr7), (1, 0x0007_0401));
    assert_eq!([step(&mut guest), step(&mut guest)], [None, None], "no second one");
    assert_eq!(guest.vcpu.state().rip, CODE + 4);
}

#[test]
fn sti_holds_the_interrupt_back_alone() {
    let mut guest = handled();
    guest.state.rflags.remove(RFlags::INTERRUPT_FLAG);
    guest.state.rflags |= RFlags::TRAP_FLAG;
    guest.state.pending.interrupt = Some(INTERRUPT);
    // sti; nop; nop
    load(&mut guest, CODE, &[0xfb, NOP, NOP]);
    assert_eq!(step(&mut guest), None);
    let mut state = guest.vcpu.state().clone();
    state.pending.nmi = true;
    guest.vcpu.set_state(&state);
    assert_eq!(step(&mut guest), Some(1), "the trap of STI");
    assert_eq!(returns_to(&mut guest), CODE + 1);
    assert_eq!(step(&mut guest), Some(2), "NMI");
}

#[test]
fn sti_lets_a_breakpoint_through() {
    let mut guest = handled();
    guest.state.rflags.remove(RFlags::INTERRUPT_FLAG);
    guest.state.pending.interrupt = Some(INTERRUPT);
    guest.state.debug.address[0] = CODE + 1;
    guest.state.debug.dr7 = 0x401;
    load(&mut guest, CODE, &[0xfb, NOP, NOP]);
    assert_eq!(step(&mut guest), None);
    assert_eq!(step(&mut guest), Some(1));
}

#[test]
fn one_nmi_at_a_time() {
    let mut guest = handled();
    load(&mut guest, CODE, &[NOP, NOP]);
    pend_both(&mut guest);
    assert_eq!(step(&mut guest), Some(2));
    pend_both(&mut guest);
    assert_eq!(step(&mut guest), Some(INTERRUPT), "an interrupt inside the NMI's handler");
    // The interrupt's IRET ends what holds NMIs back, though it was not the NMI's handler that returned.
    step(&mut guest);
    assert_eq!(step(&mut guest), Some(2));
}

/// IRET ends what holds NMIs back whether or not it faults (SDM, "Handling Multiple NMIs").
#[test]
fn an_iret_that_faults_lets_the_next_nmi_in() {
    const GENERAL_PROTECTION: u8 = 13;
    let pend = |guest: &mut Guest| {
        let mut state = guest.vcpu.state().clone();
        state.pending.nmi = true;
        guest.vcpu.set_state(&state);
    };
    let mut guest = handled();
    load(&mut guest, CODE, &[NOP]);
    pend(&mut guest);
    assert_eq!(step(&mut guest), Some(2));
    pend(&mut guest);
    // Its CS becomes null.
    let frame = guest.vcpu.state().gpr[Register::Rsp];
    assert!(guest.ram.write(frame + 8, &[0; 8]));
    assert_eq!(step(&mut guest), Some(GENERAL_PROTECTION));
    assert_eq!(step(&mut guest), Some(2));
}

/// What an instruction raises that has several reasons to.
#[test]
fn the_faults_of_one_instruction() {
    let ud = Vector::InvalidOpcode;
    let nm = Vector::DeviceNotAvailable;
    let gp = Vector::GeneralProtection;
    let pf = Vector::PageFault;
    let ss = Vector::StackFault;
    // RBX: a page that is not there; RCX: not canonical; RDX: misaligned; RSI: the absent page, misaligned.
    let cases: [(&str, u8, bool, &[u8], Vector); 25] = [
        ("LOCK before no device", 0, true, &[0xf0, 0xd9, 0xe8], ud),
        ("no device before a page: FLD", 0, true, &[0xd9, 0x03], nm),
        ("no device before a page: MOVAPS", 0, true, &[0x0f, 0x28, 0x03], nm),
        ("no device before alignment", 0, true, &[0x0f, 0x28, 0x02], nm),
        ("no device before not canonical", 0, true, &[0x0f, 0x28, 0x01], nm),
        ("UD2 whatever the privilege", 3, true, &[0x0f, 0x0b], ud),
        ("LOCK before privilege", 3, false, &[0xf0, 0x0f, 0x06], ud),
        ("privilege before a page: LGDT", 3, false, &[0x0f, 0x01, 0x13], gp),
        ("privilege before a page: LMSW", 3, false, &[0x0f, 0x01, 0x33], gp),
        ("privilege before not canonical: LIDT", 3, false, &[0x0f, 0x01, 0x19], gp),
        ("a register that is not there before privilege", 3, false, &[0x0f, 0x20, 0xc8], ud),
        ("privilege before a reserved value: MOV to CR4", 3, false, &[0x0f, 0x22, 0xe1], gp),
        ("privilege before an MSR that is not there", 3, false, &[0x0f, 0x32], gp),
        ("I/O privilege before a page: INSB", 3, false, &[0x6c], gp),
        ("alignment of SSE before a page", 0, false, &[0x0f, 0x28, 0x46, 0x02], gp),
        ("not canonical before alignment of SSE", 0, false, &[0x0f, 0x28, 0x41, 0x03], gp),
        ("a page before #DE", 0, false, &[0xf7, 0x33], pf),
        ("a page that POP writes", 0, false, &[0x8f, 0x03], pf),
        ("not canonical: IDIV", 0, false, &[0xf7, 0x39], gp),
        ("not canonical by RBP before a page", 0, false, &[0x8b, 0x45, 0x00], ss),
        ("a form without memory before no device", 0, true, &[0x0f, 0xae, 0xc1], ud),
        ("CMPXCHG16B: alignment before a page", 0, false, &[0x48, 0x0f, 0xc7, 0x4e, 0x02], gp),
        ("XSAVE not enabled before no device", 0, true, &[0x0f, 0xae, 0x23], ud),
        ("VEX without XCR0 before no device", 0, true, &[0xc5, 0xf8, 0x28, 0x03], ud),
        ("a far pointer in a register before privilege", 3, false, &[0xff, 0xd8], ud),
    ];
    for (what, cpl, switched, code, expected) in cases {
        let mut guest = if cpl == 0 { Guest::long_mode() } else { Guest::user_mode() };
        guest.state.control.cr0.set(Cr0Flags::TASK_SWITCHED, switched);
        guest.map(PAGES, ABSENT);
        // Without a bitmap no port is open.
        guest.state.segments[SegmentRegister::Tr].limit = 0x67;
        guest.ram.write(0x66, &[0x68, 0]);
        for (register, value) in [
            (Register::Rbx, PAGES),
            (Register::Rcx, 1 << 47),
            (Register::Rbp, 1 << 47),
            (Register::Rdx, DATA + 1),
            (Register::Rsi, PAGES),
            (Register::Rdi, PAGES),
        ] {
            guest.set(register, value);
        }
        match guest.run(code) {
            End::Fault(fault) => assert_eq!(fault.vector, expected, "{what}"),
            end => panic!("{what}: {end:?}"),
        }
    }
}

/// Faults of the fetch come before those of decoding, as far as bytes have to be fetched at all.
#[test]
fn fetches_before_decoding() {
    let mut prefixes = vec![0x66; 15];
    let cases: [(&[u8], Vector); 4] = [
        // The second opcode byte is missing, and could make it #UD.
        (&[0x0f], Vector::PageFault),
        // LOCK of what can't be locked is known when its operands are.
        (&[0xf0, 0x01], Vector::PageFault),
        (&[0x0f, 0x0b], Vector::InvalidOpcode),
        // Nothing is fetched beyond fifteen bytes.
        (&prefixes.split_off(0), Vector::GeneralProtection),
    ];
    for (code, expected) in cases {
        let mut guest = handled();
        guest.map(PAGES + 0x1000, ABSENT);
        let start = PAGES + 0x1000 - code.len() as u64;
        load(&mut guest, start, code);
        assert_eq!(step(&mut guest), Some(expected as u8), "{code:02x?}");
    }
}

/// In protected mode a jump's own checks come before those of what it jumps to.
#[test]
fn a_limit_before_a_page() {
    let mut guest = Guest::protected();
    guest.state.segments[SegmentRegister::Cs].limit = CODE as u32 + 0x10;
    // jmp beyond the limit
    let End::Fault(fault) = guest.run(&[0xe9, 0, 0, 0x10, 0]) else { panic!("a fault") };
    assert_eq!((fault.vector, guest.state.rip), (Vector::GeneralProtection, CODE));
}

/// A masked x87 error waits for the next waiting instruction, which looks for it before its own operand,
/// and after the device's availability.
#[test]
fn a_waiting_error_comes_between_the_device_and_the_operand() {
    for (switched, expected) in
        [(true, Vector::DeviceNotAvailable), (false, Vector::X87FloatingPoint)]
    {
        let mut guest = Guest::long_mode();
        guest.state.control.cr0 |= Cr0Flags::NUMERIC_ERROR;
        guest.state.control.cr0.set(Cr0Flags::TASK_SWITCHED, switched);
        guest.state.control.cr4 |= Cr4Flags::OSFXSR;
        // Invalid operation, unmasked and summarized.
        guest.state.fpu.control_word = 0x37e;
        guest.state.fpu.status_word = 0x8081;
        guest.map(PAGES, ABSENT);
        guest.set(Register::Rbx, PAGES);
        let End::Fault(fault) = guest.run(&[0xd9, 0x03]) else { panic!("a fault") };
        assert_eq!(fault.vector, expected);
    }
}

/// An interrupt's own delivery comes with all its accesses before the next event.
#[test]
fn a_fault_of_a_delivery_comes_before_other_events() {
    let mut guest = handled();
    // The gate of the interrupt is not present.
    guest.ram.write(IDT + u64::from(INTERRUPT) * 16 + 5, &[0x0f]);
    load(&mut guest, CODE, &[NOP]);
    let mut state = guest.vcpu.state().clone();
    state.pending.interrupt = Some(INTERRUPT);
    guest.vcpu.set_state(&state);
    assert_eq!(step(&mut guest), Some(Vector::SegmentNotPresent as u8));
    // The error code says EXT and IDT.
    let stack = guest.vcpu.state().gpr[Register::Rsp];
    let code = guest.bytes(stack, 2);
    assert_eq!(code, [3 | (INTERRUPT << 3), INTERRUPT >> 5]);
}

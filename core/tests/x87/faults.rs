//! Which instructions wait, what keeps them from executing, and what an instruction leaves behind
//! about itself.

use monovisor_core::state::{Activity, Cr0Flags, Exception, Fpu, RFlags, Register, Vector};
use monovisor_core::{Engine, Exit};

use super::common::guest::{CODE, DATA, End, Guest, PAGES};

const ONE: u128 = 0x3fff << 64 | 1 << 63;

/// One instruction of each kind that waits, by name.
const WAITING: &[(&str, &[u8])] = &[
    ("fadd", &[0xd8, 0xc1]),
    ("fld m32", &[0xd9, 0x01]),
    ("fstp m80", &[0xdb, 0x39]),
    ("fld1", &[0xd9, 0xe8]),
    ("fxam", &[0xd9, 0xe5]),
    ("fcomi", &[0xdb, 0xf1]),
    ("fcmovb", &[0xda, 0xc1]),
    ("fsin", &[0xd9, 0xfe]),
    ("fsincos", &[0xd9, 0xfb]),
    ("fprem", &[0xd9, 0xf8]),
    ("fincstp", &[0xd9, 0xf7]),
    ("ffree", &[0xdd, 0xc0]),
    ("fnop", &[0xd9, 0xd0]),
    ("fldcw", &[0xd9, 0x29]),
    ("fldenv", &[0xd9, 0x21]),
    ("frstor", &[0xdd, 0x21]),
];
const NON_WAITING: &[(&str, &[u8])] = &[
    ("fninit", &[0xdb, 0xe3]),
    ("fnclex", &[0xdb, 0xe2]),
    ("fnstcw", &[0xd9, 0x39]),
    ("fnstsw", &[0xdd, 0x39]),
    ("fnstsw ax", &[0xdf, 0xe0]),
    ("fnstenv", &[0xd9, 0x31]),
    ("fnsave", &[0xdd, 0x31]),
];

/// A guest whose registers all hold one, with RCX at its data.
fn guest() -> Guest {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rcx, DATA);
    guest.state.control.cr0 |= Cr0Flags::NUMERIC_ERROR;
    guest.state.fpu = Fpu {
        st: [ONE; 8],
        control_word: 0x37f,
        status_word: 0,
        tag_word: 0xff,
        ..guest.state.fpu
    };
    guest
}

/// The divide-by-zero exception is pending.
fn pending() -> Guest {
    let mut guest = guest();
    guest.state.fpu.control_word = 0x37b;
    guest.state.fpu.status_word = 0x8084;
    guest
}

#[test]
fn what_waits_raises_a_pending_exception() {
    for (name, code) in WAITING {
        let mut guest = pending();
        let before = guest.state.fpu;
        let end = guest.run(code);
        assert_eq!(end, End::Fault(Exception::plain(Vector::X87FloatingPoint)), "{name}");
        assert_eq!(guest.state.fpu, before, "{name}");
    }
    for (name, code) in NON_WAITING {
        assert_eq!(pending().run(code), End::Done, "{name}");
    }
}

#[test]
fn the_system_withholds_every_instruction() {
    for (name, code) in WAITING.iter().chain(NON_WAITING) {
        for flag in [Cr0Flags::TASK_SWITCHED, Cr0Flags::EMULATE_COPROCESSOR] {
            // It goes before an exception that is pending.
            let mut guest = pending();
            guest.state.control.cr0 |= flag;
            assert_eq!(guest.run(code), End::Fault(Exception::NM), "{name}");
        }
    }
}

#[test]
fn an_unmasked_exception_waits_for_the_next_instruction() {
    let mut guest = guest();
    guest.state.fpu.control_word = 0x37b;
    guest.state.fpu.st[1] = 0;
    // fdiv st0, st1; nop
    assert_eq!(guest.run(&[0xd8, 0xf1, 0x90]), End::Done);
    assert_eq!(guest.state.fpu.status_word, 0x8084);
    assert_eq!(guest.state.fpu.st[0], ONE);
}

#[test]
fn a_page_fault_leaves_the_unit_as_it_was() {
    let accesses: &[(&str, &[u8])] = &[
        ("fadd m32", &[0xd8, 0x01]),
        ("fld m64", &[0xdd, 0x01]),
        ("fld m80", &[0xdb, 0x29]),
        ("fstp m64", &[0xdd, 0x19]),
        ("fstp m80", &[0xdb, 0x39]),
        ("fbstp", &[0xdf, 0x31]),
        ("frstor", &[0xdd, 0x21]),
        ("fnsave", &[0xdd, 0x31]),
    ];
    for (name, code) in accesses {
        let mut guest = guest();
        guest.state.fpu.tag_word = 0x7f;
        // The operand's last bytes are in a page that is not there.
        guest.map(PAGES + 0x1000, 0);
        guest.set(Register::Rcx, PAGES + 0xffe);
        guest.ram.write(PAGES + 0xffe, &[0x55; 2]);
        let before = guest.state.fpu;
        let end = guest.run(code);
        let faults = matches!(end, End::Fault(Exception { vector: Vector::PageFault, .. }));
        assert!(faults, "{name}: {end:?}");
        assert_eq!(guest.state.fpu, before, "{name}");
        assert_eq!(guest.bytes(PAGES + 0xffe, 2), [0x55; 2], "{name}");
    }
}

#[test]
fn a_store_faults_even_if_an_exception_forbids_it() {
    for (name, code) in [("fst m32", [0xd9, 0x11]), ("fistp m64", [0xdf, 0x39])] {
        let mut guest = guest();
        // A NaN that signals, to the unit and to an integer.
        (guest.state.fpu.st[0], guest.state.fpu.control_word) = (ONE | 0x7fff << 64 | 1, 0x37e);
        guest.map(PAGES, 0);
        guest.set(Register::Rcx, PAGES);
        let before = guest.state.fpu;
        let end = guest.run(&code);
        let faults = matches!(end, End::Fault(Exception { vector: Vector::PageFault, .. }));
        assert!(faults, "{name}: {end:?}");
        assert_eq!(guest.state.fpu, before, "{name}");
    }
}

/// Of what FNSAVE and its kin access, the first word is looked at before anything else.
#[test]
fn a_misaligned_environment_comes_before_its_end() {
    let instructions: [(&str, &[u8]); 4] = [
        ("fnstenv", &[0xd9, 0x31]),
        ("fldenv", &[0xd9, 0x21]),
        ("fnsave", &[0xdd, 0x31]),
        ("frstor", &[0xdd, 0x21]),
    ];
    for (name, code) in instructions {
        let mut guest = Guest::user_mode();
        guest.state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
        guest.state.rflags |= RFlags::ALIGNMENT_CHECK;
        guest.map(PAGES + 0x1000, 0);
        guest.set(Register::Rcx, PAGES + 0xffa);
        let end = guest.run(code);
        let faults = matches!(end, End::Fault(Exception { vector: Vector::AlignmentCheck, .. }));
        assert!(faults, "{name}: {end:?}");
    }
}

/// Without descriptors an image has linear addresses.
#[test]
fn pointers_of_real_mode_are_linear() {
    for mut guest in [Guest::real_mode(), Guest::virtual_8086()] {
        guest.set(Register::Rbx, 0x4000);
        // nop; fld dword [bx]; fnstenv [bx + 0x10]
        assert_eq!(guest.run(&[0x90, 0xd9, 0x07, 0xd9, 0x77, 0x10]), End::Done);
        let image = guest.bytes(CODE + 0x4010 + 6, 8);
        assert_eq!(image, [0x01, 0x00, 0x07, 0x11, 0x00, 0x40, 0x00, 0x10]);
    }
}

#[test]
fn pointers_tell_of_the_last_instruction() {
    let pointers = |fpu: &Fpu| (fpu.instruction_pointer, fpu.data_pointer, fpu.opcode);
    let mut guest = guest();
    // nop; fadd dword ds:[rcx + 8]
    assert_eq!(guest.run(&[0x90, 0x3e, 0xd8, 0x41, 0x08]), End::Done);
    assert_eq!(pointers(&guest.state.fpu), (CODE + 1, DATA + 8, 0x041));
    guest.state.rip = CODE;
    // fsqrt keeps the data pointer; fnstcw, fwait and fnclex keep all.
    assert_eq!(guest.run(&[0xd9, 0xfa, 0xd9, 0x39, 0x9b, 0xdb, 0xe2]), End::Done);
    assert_eq!(pointers(&guest.state.fpu), (CODE, DATA + 8, 0x1fa));
}

/// With CR0.NE clear a waiting instruction tells the host, and stops until an interrupt or the host's
/// leave to go on.
#[test]
fn without_numeric_error_the_host_is_told() {
    let told = |new| End::Exit(Exit::FloatingPointError { new });
    for (name, code) in WAITING {
        let mut guest = pending();
        guest.state.control.cr0.remove(Cr0Flags::NUMERIC_ERROR);
        assert_eq!(guest.run(code), told(true), "{name}");
        assert_eq!((guest.state.rip, guest.state.activity), (CODE, Activity::Halted), "{name}");
        assert_eq!(guest.vcpu.run(100), Exit::Halted, "{name} stops");
        guest.vcpu.ignore_floating_point_error();
        assert_eq!(guest.resume(CODE + code.len() as u64), End::Done, "{name}");
    }
    // fnstsw ax; fwait; fnclex; fwait; fsub st, st; fdiv st(1), st; fwait
    let mut guest = pending();
    guest.state.control.cr0.remove(Cr0Flags::NUMERIC_ERROR);
    let code = [0xdf, 0xe0, 0x9b, 0xdb, 0xe2, 0x9b, 0xd8, 0xe0, 0xdc, 0xf9, 0x9b];
    assert_eq!(guest.run(&code), told(true));
    assert_eq!(guest.state.rip, CODE + 2);
    guest.vcpu.ignore_floating_point_error();
    assert_eq!(guest.resume(CODE + code.len() as u64), told(true), "another exception");
    assert_eq!(guest.state.rip, CODE + 10);
    guest.vcpu.inject_nmi();
    assert_eq!(guest.resume(0), End::Exit(Exit::TripleFault), "it wakes up");
}

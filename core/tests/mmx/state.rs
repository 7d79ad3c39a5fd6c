//! The x87 beside MMX: aliases, tags, top of the stack, and what is raised in which order.

use monovisor_core::state::{Cr0Flags, Cr4Flags, Exception, Register, Vector};

use crate::common::{CODE, DATA, Machine};

const ONES: u128 = 0xffff << 64;
/// Invalid operation with the exception summary, and its mask cleared.
const PENDING: (u16, u16) = (0x8081, 0x37e);

fn run(machine: &mut Machine, code: &[u8]) -> Option<Exception> {
    machine.assemble(code);
    machine.state.rip = CODE;
    machine.state.gpr[Register::Rsi] = DATA;
    machine.execute().raised()
}

#[test]
fn a_write_goes_to_the_physical_register_and_marks_all_as_valid() {
    let mut machine = Machine::new();
    machine.state.fpu.status_word = 3 << 11;
    machine.state.fpu.tag_word = 0;
    for (index, register) in machine.state.fpu.st.iter_mut().enumerate() {
        // ST(index) is physical register 3 + index.
        *register = (3 + index as u128) % 8;
    }
    machine.ram.write(DATA, &0x1122_3344_5566_7788_u64.to_le_bytes());
    // movq mm2, [rsi]
    assert_eq!(run(&mut machine, &[0x0f, 0x6f, 0x16]), None);
    let fpu = machine.vcpu.state().fpu;
    assert_eq!((fpu.status_word, fpu.tag_word), (0, 0xff));
    let mut expected: [u128; 8] = std::array::from_fn(|index| index as u128);
    expected[2] = ONES | 0x1122_3344_5566_7788;
    assert_eq!(fpu.st, expected);
}

#[test]
fn a_store_and_emms_change_the_stack_too() {
    let mut machine = Machine::new();
    machine.state.fpu.status_word = 5 << 11;
    machine.state.fpu.tag_word = 0x10;
    machine.state.fpu.st[1] = 0xabcd; // physical register 6
    // movq [rsi], mm6
    assert_eq!(run(&mut machine, &[0x0f, 0x7f, 0x36]), None);
    let fpu = machine.vcpu.state().fpu;
    assert_eq!((fpu.status_word, fpu.tag_word, fpu.st[6]), (0, 0xff, 0xabcd));
    let mut stored = [0; 8];
    machine.ram.read(DATA, &mut stored);
    assert_eq!(u64::from_le_bytes(stored), 0xabcd);
    // emms
    assert_eq!(run(&mut machine, &[0x0f, 0x77]), None);
    let fpu = machine.vcpu.state().fpu;
    assert_eq!((fpu.status_word, fpu.tag_word, fpu.st[6]), (0, 0, 0xabcd));
}

#[test]
fn a_fault_of_the_access_leaves_the_stack_alone() {
    for code in [[0x0f, 0xfc, 0x16], [0x0f, 0x6f, 0x16], [0x0f, 0x7f, 0x16], [0x0f, 0xe7, 0x16]] {
        let mut machine = Machine::new();
        machine.assemble(&code);
        machine.state.gpr[Register::Rsi] = 1 << 40;
        machine.state.fpu.status_word = 2 << 11;
        machine.state.fpu.tag_word = 1;
        let vector = machine.execute().raised().map(|exception| exception.vector);
        assert_eq!(vector, Some(Vector::PageFault), "{code:x?}");
        assert_eq!(machine.vcpu.state().fpu, machine.state.fpu, "{code:x?}");
    }
}

/// Of each kind of handler, with an operand that cannot be accessed where there is one.
const CODES: &[&[u8]] = &[
    &[0x0f, 0xfc, 0xc1],             // paddb mm0, mm1
    &[0x0f, 0xfc, 0x06],             // paddb mm0, [rsi]
    &[0x0f, 0x7f, 0x06],             // movq [rsi], mm0
    &[0x0f, 0x6e, 0xc1],             // movd mm0, ecx
    &[0x0f, 0xd7, 0xc1],             // pmovmskb eax, mm1
    &[0x0f, 0x77],                   // emms
    &[0x0f, 0xf7, 0xc1],             // maskmovq mm0, mm1
    &[0x0f, 0x38, 0x00, 0x06],       // pshufb mm0, [rsi]
    &[0x0f, 0x3a, 0x0f, 0xc1, 0x03], // palignr mm0, mm1, 3
    &[0x0f, 0x2d, 0x06],             // cvtps2pi mm0, [rsi]
    &[0xf2, 0x0f, 0xd6, 0xc1],       // movdq2q mm0, xmm1
];

#[test]
fn what_the_system_withholds_comes_before_what_the_x87_has_left() {
    let plain = |vector| Some(Exception::plain(vector));
    for code in CODES {
        let mut machine = Machine::new();
        (machine.state.fpu.status_word, machine.state.fpu.control_word) = PENDING;
        machine.state.gpr[Register::Rdi] = 1 << 40;
        let raise = |machine: &mut Machine| {
            machine.assemble(code);
            machine.state.gpr[Register::Rsi] = 1 << 40;
            let raised = machine.execute().raised();
            assert_eq!(machine.vcpu.state().fpu, machine.state.fpu, "{code:x?}");
            raised
        };
        assert_eq!(raise(&mut machine), plain(Vector::X87FloatingPoint), "{code:x?}");
        machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
        assert_eq!(raise(&mut machine), Some(Exception::NM), "{code:x?}");
        machine.state.control.cr0 |= Cr0Flags::EMULATE_COPROCESSOR;
        assert_eq!(raise(&mut machine), Some(Exception::UD), "{code:x?}");
    }
}

#[test]
fn only_what_has_xmm_operands_needs_sse() {
    for (code, expected) in [
        (&[0x0f, 0xfc, 0xc1][..], None),
        (&[0x0f, 0x70, 0xc1, 0x1b], None),
        (&[0x0f, 0x77], None),
        (&[0xf2, 0x0f, 0xd6, 0xc1], Some(Exception::UD)),
        (&[0x0f, 0x2a, 0xc1], Some(Exception::UD)),
    ] {
        let mut machine = Machine::new();
        machine.state.control.cr4.remove(Cr4Flags::OSFXSR);
        assert_eq!(run(&mut machine, code), expected, "{code:x?}");
    }
}

#[test]
fn masked_bytes_are_stored() {
    let mut machine = Machine::new();
    machine.ram.write(DATA, &[0xee; 16]);
    machine.state.gpr[Register::Rdi] = DATA + 3;
    machine.state.fpu.st[0] = 0x0706_0504_0302_0100;
    machine.state.fpu.st[1] = 0x80_7f00_ff00_80ff_u64.into();
    // maskmovq mm0, mm1
    assert_eq!(run(&mut machine, &[0x0f, 0xf7, 0xc1]), None);
    let mut bytes = [0; 16];
    machine.ram.read(DATA, &mut bytes);
    let mut expected = [0xee; 16];
    for index in [0, 1, 3, 6] {
        expected[3 + index] = index as u8;
    }
    assert_eq!(bytes, expected);
}

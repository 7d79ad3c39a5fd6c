//! What VMASKMOV and VGATHER do not touch, and where a gather goes on.

use monovisor_core::state::{Register, Vector};

use crate::common::DATA;
use crate::harness::{machine, raised, step};

/// One past the last byte of memory.
const END: u64 = 2 << 20;
const ALL: u128 = u128::MAX;

#[test]
fn elements_without_a_mask_do_not_fault() {
    let mut machine = machine();
    // Two doublewords are in memory, and six behind it.
    machine.state.gpr[Register::Rsi] = END - 8;
    machine.ram.write(END - 8, &[0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22]);
    (machine.state.fpu.xmm[1], machine.state.fpu.ymm_high[1]) = (0x8000_0000_8000_0000, 0);
    // vmaskmovps ymm0, ymm1, [rsi]
    step(&mut machine, &[0xc4, 0xe2, 0x75, 0x2c, 0x06]);
    let fpu = machine.state.fpu;
    assert_eq!((fpu.xmm[0], fpu.ymm_high[0]), (0x2222_2222_1111_1111, 0));
    // vpmaskmovd [rsi], ymm1, ymm2
    step(&mut machine, &[0xc4, 0xe2, 0x75, 0x8e, 0x16]);
    let mut bytes = [0; 8];
    machine.ram.read(END - 8, &mut bytes);
    assert_eq!(bytes, fpu.xmm[2].to_le_bytes()[..8]);
}

#[test]
fn a_masked_store_that_faults_has_written_nothing() {
    let mut machine = machine();
    machine.state.gpr[Register::Rsi] = END - 8;
    machine.ram.write(END - 8, &[7; 8]);
    (machine.state.fpu.xmm[1], machine.state.fpu.ymm_high[1]) = (0x8000_0000_8000_0000, 1 << 127);
    let exception = raised(&mut machine, &[0xc4, 0xe2, 0x75, 0x8e, 0x16]).expect("a fault");
    assert_eq!((exception.vector, exception.payload), (Vector::PageFault, END + 20));
    let mut bytes = [0; 8];
    machine.ram.read(END - 8, &mut bytes);
    assert_eq!(bytes, [7; 8]);
}

#[test]
fn a_gather_goes_on_where_it_was_stopped() {
    let mut machine = machine();
    let table: Vec<u8> = (0..8_u32).flat_map(|value| (value * 3).to_le_bytes()).collect();
    machine.ram.write(DATA, &table);
    // vpgatherdd ymm0, [rsi + ymm2 * 4], ymm1: the index of element 5 leads behind memory.
    let code = [0xc4, 0xe2, 0x75, 0x90, 0x04, 0x96];
    let behind = ((END - DATA) / 4) as u32;
    let indices: [u32; 8] = [7, 6, 5, 4, 3, behind, 1, 0];
    let half =
        |part: &[u32]| part.iter().rev().fold(0, |all, index| all << 32 | u128::from(*index));
    let fpu = &mut machine.state.fpu;
    (fpu.xmm[2], fpu.ymm_high[2]) = (half(&indices[..4]), half(&indices[4..]));
    (fpu.xmm[1], fpu.ymm_high[1]) = (ALL & !(1 << 63), ALL);
    (fpu.xmm[0], fpu.ymm_high[0]) = (half(&[100, 101, 102, 103]), half(&[104, 105, 106, 107]));
    let exception = raised(&mut machine, &code).expect("a page fault");
    assert_eq!((exception.vector, exception.payload), (Vector::PageFault, END));
    let fpu = machine.vcpu.state().fpu;
    // Element 1 is not wanted. Those before the fault are there, and their masks are clear.
    assert_eq!(fpu.xmm[0], half(&[21, 101, 15, 12]));
    assert_eq!(fpu.ymm_high[0], half(&[9, 105, 106, 107]));
    assert_eq!((fpu.xmm[1], fpu.ymm_high[1]), (0, ALL << 32));
    machine.state.fpu = fpu;
    machine.state.fpu.ymm_high[2] = half(&[3, 2, 1, 0]);
    step(&mut machine, &code);
    let fpu = machine.state.fpu;
    assert_eq!((fpu.xmm[0], fpu.ymm_high[0]), (half(&[21, 101, 15, 12]), half(&[9, 6, 3, 0])));
    assert_eq!((fpu.xmm[1], fpu.ymm_high[1]), (0, 0));
}

#[test]
fn a_gather_of_fewer_elements_clears_the_rest() {
    let mut machine = machine();
    machine.ram.write(DATA, &[0x55; 64]);
    let fpu = &mut machine.state.fpu;
    (fpu.xmm[1], fpu.ymm_high[1]) = (ALL, ALL);
    (fpu.xmm[2], fpu.ymm_high[2]) = (0, 0);
    // vpgatherqd xmm0, [rsi + xmm2], xmm1: two elements of four bytes.
    step(&mut machine, &[0xc4, 0xe2, 0x71, 0x91, 0x04, 0x16]);
    let fpu = machine.state.fpu;
    assert_eq!((fpu.xmm[0], fpu.ymm_high[0]), (0x5555_5555_5555_5555, 0));
    assert_eq!((fpu.xmm[1], fpu.ymm_high[1]), (0, 0));
}

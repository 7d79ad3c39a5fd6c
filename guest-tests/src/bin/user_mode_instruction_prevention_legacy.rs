//! CR4.UMIP in protected and virtual-8086 mode: SGDT, SIDT, SLDT, STR and SMSW are #GP(0) at privilege level 3;
//! SLDT and STR are not there in virtual-8086 mode anyway (SDM, CR4.UMIP).
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, UD};
use guest_tests::legacy::{Context, DATA, Legacy};
use guest_tests::register::cr4::UMIP;

guest_tests::entry!(main);

/// Each to memory at EBX; whether virtual-8086 mode has it.
const TO_MEMORY: [(&str, [u8; 3], bool); 5] = [
    ("SGDT", [0x0f, 0x01, 0x03], true),
    ("SIDT", [0x0f, 0x01, 0x0b], true),
    ("SLDT", [0x0f, 0x00, 0x03], false),
    ("STR", [0x0f, 0x00, 0x0b], false),
    ("SMSW", [0x0f, 0x01, 0x23], true),
];
const TO_REGISTER: [(&str, [u8; 3], bool); 3] = [
    ("SLDT EAX", [0x0f, 0x00, 0xc0], false),
    ("STR EAX", [0x0f, 0x00, 0xc8], false),
    ("SMSW EAX", [0x0f, 0x01, 0xe0], true),
];
/// What makes EBX of those BX, where addresses have 16 bits.
const OF_16_BITS: u8 = 0x04;
const UD2: [u8; 2] = [0x0f, 0x0b];

fn main() {
    for prevented in [false, true] {
        let cr4 = if prevented { UMIP as u32 } else { 0 };
        for level in [Context::LEVEL_0, Context::LEVEL_3] {
            let context = Context { registers: [0, DATA, 0, 0], cr4, ..level };
            for (name, code, _) in TO_MEMORY.into_iter().chain(TO_REGISTER) {
                let denied = prevented && context.cs & 3 == 3;
                ends(name, &context, code, if denied { GP } else { UD }, !denied);
            }
        }
        let context = Context { registers: [0, 0x8000, 0, 0], cr4, ..Context::VIRTUAL_8086 };
        let to_memory =
            TO_MEMORY.map(|(name, [a, b, c], exists)| (name, [a, b, c | OF_16_BITS], exists));
        for (name, code, exists) in to_memory.into_iter().chain(TO_REGISTER) {
            let vector = if exists && prevented { GP } else { UD };
            ends(name, &context, code, vector, exists && !prevented);
        }
    }
}

/// Runs an instruction and UD2 behind it: which exception ends that, and whether it is UD2's.
fn ends(name: &str, context: &Context, [a, b, c]: [u8; 3], vector: u8, through: bool) {
    let caught = Legacy::new().run(context, &[a, b, c, UD2[0], UD2[1]]);
    let at = context.eip + if through { 3 } else { 0 };
    check_eq!((caught.fault(), caught.eip), ((vector, 0), at), "{name} with {context:x?}");
}

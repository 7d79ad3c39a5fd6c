//! A processor other than the first turns the power off, through the register and with the value that
//! ACPI's tables tell, while the others compute and sleep.
//@ cpus: 3
//@ exit: 0
//@ stdout: ACPI tells the way

#![no_std]
#![no_main]

use guest_tests::device::port;
use guest_tests::{acpi, exit, println, smp};

guest_tests::entry!(main);

const SLEEP_ENABLE: u16 = 1 << 13;

/// ACPI, "Fixed ACPI Description Table": DSDT, PM1a_CNT_BLK.
fn word(table: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([table[at], table[at + 1], table[at + 2], table[at + 3]])
}

/// The first element of the package \_S5, a byte: AML for `Name (_S5_, Package () { … })`.
fn sleep_type(definitions: &[u8]) -> u16 {
    const PACKAGE: u8 = 0x12;
    const BYTE_PREFIX: u8 = 0x0a;
    let name = definitions.windows(5).position(|bytes| bytes == [b'_', b'S', b'5', b'_', PACKAGE]);
    // Behind the name and the operator are a length of one byte and the number of elements.
    let rest = &definitions[name.expect("the name _S5_") + 7..];
    u16::from(if rest[0] == BYTE_PREFIX { rest[1] } else { rest[0] })
}

fn processor(number: usize) {
    if number == 1 {
        exit::halt();
    }
    let fixed = acpi::table(b"FACP").expect("the fixed description table");
    let definitions = acpi::at(u64::from(word(fixed, 40)));
    let control = word(fixed, 64) as u16;
    println!("ACPI tells the way");
    port::write(control, sleep_type(definitions) << 10 | SLEEP_ENABLE);
}

fn main() {
    smp::start_all(processor);
    loop {
        core::hint::spin_loop();
    }
}

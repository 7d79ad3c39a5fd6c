//! S5 through the power-management port ends the run with exit status 0.
//@ exit: 0
//@ stdout: good night

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::println!("good night");
    guest_tests::exit::power_off()
}

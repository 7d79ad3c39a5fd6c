//! A port that no device claims reads all ones at every width, and swallows what is written.

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::device::port;

guest_tests::entry!(main);

fn main() {
    for port_number in [0x1230, 0x5658, 0xfff0] {
        port::write::<u32>(port_number, 0x1234_5678);
        check_eq!(port::read::<u8>(port_number), 0xff);
        check_eq!(port::read::<u16>(port_number), 0xffff);
        check_eq!(port::read::<u32>(port_number), 0xffff_ffff);
    }
}

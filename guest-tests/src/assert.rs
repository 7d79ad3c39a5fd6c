//! What a test says when it fails: where, and what differed, in hexadecimal. Then the guest ends
//! with exit status 35.

use crate::{console, exit};
use core::panic::PanicInfo;

/// Compares what the machine did with what the manual says, in hexadecimal; ends the guest with
/// exit status 35 if they differ.
#[macro_export]
macro_rules! check_eq {
    ($actual:expr, $expected:expr $(,)?) => {
        $crate::check_eq!($actual, $expected, stringify!($actual))
    };
    ($actual:expr, $expected:expr, $($what:tt)+) => {
        match (&$actual, &$expected) {
            (actual, expected) => {
                if !(*actual == *expected) {
                    ::core::panic!(
                        "{}: {:#x?}, expected {:#x?}",
                        ::core::format_args!($($what)+),
                        actual,
                        expected
                    );
                }
            }
        }
    };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::print(format_args!("{info}\n"));
    exit::fail()
}

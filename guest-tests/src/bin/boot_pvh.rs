//! Entry by PVH: hvm_start_info gives the command line as it was, and a memory map that holds the image
//! and the RAM behind it (Xen, x86/HVM direct boot ABI).
//@ append: root=/dev/null quiet --flag="a b"

#![no_std]
#![no_main]

use guest_tests::{MemoryKind, Protocol, boot_info, check_eq};

guest_tests::entry!(main);

fn main() {
    let info = boot_info();
    check_eq!(info.protocol, Protocol::Pvh);
    check_eq!(info.command_line(), "root=/dev/null quiet --flag=\"a b\"");
    check_eq!(info.modules().len(), 0);
    let ram = || info.memory().iter().filter(|range| range.kind == MemoryKind::Ram);
    let ours = ram().find(|range| range.start <= 0x10_0000 && 0x10_0000 < range.end());
    let Some(ours) = ours else { panic!("no RAM at 1 MiB: {:#x?}", info.memory()) };
    assert!(ours.end() > 0x100_0000, "RAM at 1 MiB ends at {:#x}", ours.end());
    for (index, a) in info.memory().iter().enumerate() {
        for b in &info.memory()[index + 1..] {
            assert!(a.end() <= b.start || b.end() <= a.start, "{a:#x?} overlaps {b:#x?}");
        }
    }
    // RAM can be used to its last byte.
    let last = (ours.end() - 1) as *mut u8;
    // SAFETY: the heap has not grown that far.
    unsafe {
        last.write_volatile(0x5a);
        check_eq!(last.read_volatile(), 0x5a);
    }
}

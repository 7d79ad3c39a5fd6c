//! All devices together: whatever a guest does to any of them, at any address and size, nothing
//! panics, hangs or grows.

use std::sync::Arc;

use monovisor_core::{Access, InstructionClock, Space};
use proptest::prelude::*;

use super::registry::{Platform, assemble};
use super::virtio::Disk;
use crate::bus::Bus;
use crate::clock::Time;
use crate::memory::{GuestRam, layout};

fn bus() -> Bus {
    let image = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    image.as_file().set_len(4096).expect("it can be made longer");
    let disk = Disk::open(image.path(), false).expect("it is a disk");
    let ram = GuestRam::new(layout::MIN_RAM_BYTES).expect("there is memory");
    let platform = Platform { disks: vec![Arc::new(disk)], ..Platform::default() };
    assemble(&platform, &Arc::new(ram))
}

/// Addresses at, inside and around every range of the platform, and any others.
fn access(ranges: Vec<(Space, u64, u64)>) -> impl Strategy<Value = Access> {
    let size = prop::sample::select(vec![1_u8, 2, 4, 8]);
    let near = prop::sample::select(ranges).prop_flat_map(|(space, base, length)| {
        (Just(space), base.saturating_sub(9)..base + length.min(0x100) + 2)
    });
    let any =
        prop_oneof![(Just(Space::Port), 0..0x1_0000_u64), (Just(Space::Memory), any::<u64>()),];
    (prop_oneof![9 => near, 1 => any], size).prop_map(|((space, address), size)| Access {
        space,
        address,
        size,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_sequence_of_accesses_panics_or_grows(
        accesses in prop::collection::vec(
            (access(bus().ranges().collect()), any::<u64>(), any::<bool>(), 0_u64..10_000_000), 500)
    ) {
        let mut bus = bus();
        let mut now_ns = 0;
        for (access, value, write, pause_ns) in accesses {
            now_ns += pause_ns;
            let time = Time::new(&InstructionClock, now_ns);
            if write {
                bus.write(&access, value, time);
            } else {
                let value = bus.read(&access, time);
                prop_assert!(access.size == 8 || value >> (8 * access.size) == 0);
            }
            bus.advance(time);
            prop_assert!(bus.next_deadline_ns() > now_ns);
            bus.take_signal();
            bus.interrupts.take_messages();
            if bus.interrupts.pic.interrupt_requested() {
                bus.interrupts.pic.acknowledge();
            }
        }
        prop_assert!(bus.unclaimed().len() <= Bus::MAX_UNCLAIMED);
    }
}

//! Commands and destinations (SDM, "Issuing Interprocessor Interrupts").

use super::*;

/// "Interrupt Command Register (ICR)": (high, low, message).
#[test]
fn xapic_commands() {
    let send = |destination, mode, vector| {
        let trigger = Trigger::Edge;
        Effect::SendIpi(Message { destination, mode, vector, trigger })
    };
    let rows = [
        (0x0500_0000, 0x0_0040, send(Destination::Physical(5), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_0840, send(Destination::Logical(5), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_0940, send(Destination::Logical(5), DeliveryMode::LowestPriority, 0x40)),
        (0xff00_0000, 0x0_0440, send(Destination::Physical(u32::MAX), DeliveryMode::Nmi, 0x40)),
        (0xff00_0000, 0x0_0840, send(Destination::Logical(u32::MAX), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_4500, send(Destination::Physical(5), DeliveryMode::Init, 0)),
        (0x0500_0000, 0x0_c500, send(Destination::Physical(5), DeliveryMode::Init, 0)),
        (0x0500_0000, 0x0_8500, Effect::None), // level de-assert
        (0x0500_0000, 0x0_0608, send(Destination::Physical(5), DeliveryMode::StartUp, 8)),
        (0x0000_0000, 0x8_0040, send(Destination::All, DeliveryMode::Fixed, 0x40)),
        (0x0000_0000, 0xc_4500, send(Destination::Others, DeliveryMode::Init, 0)),
        (0x0000_0000, 0x4_0040, Effect::Accepted(Accepted::Interrupt)),
        (0x0000_0000, 0x4_0400, Effect::None), // NMI to oneself by shorthand
        (0x0000_0000, 0x0_0400, Effect::Accepted(Accepted::Nmi)),
        (0x0500_0000, 0x0_0240, Effect::None), // SMI
        (0x0500_0000, 0x0_0340, Effect::None), // reserved
        (0x0500_0000, 0x0_0740, Effect::None), // reserved
        (0x0500_0000, 0x0_000f, Effect::None), // illegal vector
    ];
    for (high, low, effect) in rows {
        let mut apic = enabled(0);
        set(&mut apic, ICR_HIGH, high);
        assert_eq!(apic.write(ICR_LOW, low, 0), effect, "{high:#x} {low:#x}");
        assert_eq!(apic.read(ICR_LOW, 0), low, "delivery status is idle");
        let to_itself = effect == Effect::Accepted(Accepted::Interrupt);
        assert_eq!(apic.pending(), to_itself.then_some(0x40));
    }
}

#[test]
fn x2apic_commands_have_32_bits_of_destination() {
    let mut apic = x2apic(3);
    let rows = [
        (0xff << 32 | 0x40, Effect::SendIpi(to(Destination::Physical(0xff), 0x40))),
        (0x2_0001 << 32 | 0x840, Effect::SendIpi(to(Destination::Logical(0x2_0001), 0x40))),
        (0xffff_ffff << 32 | 0x40, Effect::SendIpi(to(Destination::Physical(u32::MAX), 0x40))),
        (3 << 32 | 0x40, Effect::Accepted(Accepted::Interrupt)),
    ];
    for (command, effect) in rows {
        assert_eq!(apic.write_msr(0x830, command, 0), Ok(effect), "{command:#x}");
        assert_eq!(apic.read_msr(0x830, 0), Ok(command));
    }
    let accepted = Effect::Accepted(Accepted::Interrupt);
    assert_eq!(apic.write_msr(0x83f, 0x77, 0), Ok(accepted), "SELF IPI");
    assert_eq!(apic.pending(), Some(0x77));
}

/// "Determining IPI Destination".
#[test]
fn physical_destinations_and_shorthands() {
    let rows = [
        (Destination::Physical(2), Some(1), true),
        (Destination::Physical(3), Some(1), false),
        (Destination::Physical(u32::MAX), Some(2), true),
        (Destination::All, Some(2), true),
        (Destination::All, None, true),
        (Destination::Others, Some(2), false),
        (Destination::Others, Some(1), true),
        (Destination::Others, None, true),
        (Destination::Myself, Some(2), true),
        (Destination::Myself, Some(1), false),
        (Destination::Myself, None, false),
    ];
    for mut apic in [enabled(2), x2apic(2)] {
        for (destination, sender, expected) in rows {
            let matches = apic.matches(destination, sender);
            assert_eq!(matches, expected, "{destination:?} from {sender:?}");
        }
        apic.set_base(DISABLED_BASE).unwrap();
        assert!(!apic.matches(Destination::All, None));
    }
}

/// "Logical Destination Mode": (DFR, LDR, address, match).
#[test]
fn logical_destinations() {
    const FLAT: u32 = 0xffff_ffff;
    const CLUSTER: u32 = 0x0fff_ffff;
    let rows = [
        (FLAT, 0x04, 0x04, true),
        (FLAT, 0x04, 0xf4, true),
        (FLAT, 0x04, 0xfb, false),
        (FLAT, 0x04, 0x00, false),
        (FLAT, 0x00, 0x7f, false),
        (FLAT, 0x00, u32::MAX, true),
        (FLAT, 0x01, 0x0002_0001, false), // a cluster of x2APICs
        (CLUSTER, 0x24, 0x24, true),
        (CLUSTER, 0x24, 0x2c, true),
        (CLUSTER, 0x24, 0x28, false),
        (CLUSTER, 0x24, 0x34, false),
        (CLUSTER, 0x24, 0xf4, true),
        (CLUSTER, 0x24, 0xf8, false),
        (CLUSTER, 0x24, u32::MAX, true),
        (CLUSTER, 0x24, 0x0002_0024, false),
    ];
    for (format, logical, address, expected) in rows {
        let mut apic = enabled(0);
        set(&mut apic, DFR, format);
        set(&mut apic, LDR, logical << 24);
        let matches = apic.matches(Destination::Logical(address), None);
        assert_eq!(matches, expected, "DFR {format:#x} LDR {logical:#x}: {address:#x}");
    }
}

/// "Logical Destination Mode in x2APIC Mode": (ID, address, match).
#[test]
fn x2apic_clusters() {
    let rows = [
        (0x00, 0x0000_0001, true),
        (0x00, 0x0000_0002, false),
        (0x2f, 0x0002_8000, true),
        (0x2f, 0x0002_ffff, true),
        (0x2f, 0x0003_8000, false),
        (0x2f, 0x0002_7fff, false),
        (0x123, 0x0012_0008, true),
        (0x2f, 0x00f2_8000, false),
        (0x2f, u32::MAX, true),
    ];
    for (id, address, expected) in rows {
        let matches = x2apic(id).matches(Destination::Logical(address), None);
        assert_eq!(matches, expected, "{id:#x}: {address:#x}");
    }
}

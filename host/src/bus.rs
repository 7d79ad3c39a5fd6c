//! The bus: from a port or an address to a device's register, and from devices to interrupt
//! controllers, timers and the run loop. It knows no particular device; [`registry`] attaches them.
//!
//! The bus owns all devices, so one lock around it is all that several vCPU threads need; with one
//! vCPU there is none. Invariant: every access ends, and one that nothing claims reads all ones.
//!
//! [`registry`]: crate::device::registry

use std::ops::Range;

use monovisor_core::{Access, Space};

use crate::clock::Time;
use crate::device::{Context, Device, Interrupts, Signal};

/// Never.
const NEVER: u64 = u64::MAX;
const PORTS: usize = 1 << 16;

/// Where some registers of a device are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Ports or memory.
    pub space: Space,
    /// The first port or address.
    pub base: u64,
    /// How many there are.
    pub length: u64,
    /// The device's name for the first one.
    pub register: u16,
    /// The widest access in bytes that the device takes; wider ones reach it in pieces.
    pub max_size: u8,
}

/// Accesses of one kind to one place that no device claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclaimed {
    /// Where, and how wide.
    pub access: Access,
    /// Whether the guest wrote.
    pub write: bool,
    /// How often.
    pub count: u64,
}

struct Attached {
    device: Box<dyn Device>,
    deadline_ns: u64,
}

/// A region, and which device it belongs to.
#[derive(Clone, Copy)]
struct Mapping {
    region: Region,
    device: usize,
}

/// The bus and everything on it.
pub struct Bus {
    /// For every port, 0 or one more than the index of its mapping.
    ports: Box<[u8]>,
    /// Sorted address ranges and the indices of their mappings.
    memory: Vec<(Range<u64>, usize)>,
    mappings: Vec<Mapping>,
    devices: Vec<Attached>,
    /// The interrupt controllers.
    pub interrupts: Interrupts,
    signal: Option<Signal>,
    next_deadline_ns: u64,
    unclaimed: Vec<Unclaimed>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            ports: vec![0; PORTS].into_boxed_slice(),
            memory: Vec::new(),
            mappings: Vec::new(),
            devices: Vec::new(),
            interrupts: Interrupts::default(),
            signal: None,
            next_deadline_ns: NEVER,
            unclaimed: Vec::new(),
        }
    }
}

impl Bus {
    /// How many different unclaimed accesses are remembered.
    pub const MAX_UNCLAIMED: usize = 32;

    /// Puts `device` where `regions` say. The platform's rows do not overlap; if regions did, the
    /// last one attached would win.
    pub fn attach(&mut self, device: Box<dyn Device>, regions: &[Region]) {
        for &region in regions {
            let index = self.mappings.len();
            self.mappings.push(Mapping { region, device: self.devices.len() });
            let range = region.base..region.base.saturating_add(region.length);
            match region.space {
                Space::Memory => self.memory.push((range, index)),
                Space::Port => {
                    for port in range {
                        if let Some(slot) = self.ports.get_mut(port as usize) {
                            *slot = (index + 1) as u8;
                        }
                    }
                }
            }
        }
        self.memory.sort_by_key(|(range, _)| range.start);
        let deadline_ns = device.next_deadline_ns().unwrap_or(NEVER);
        self.devices.push(Attached { device, deadline_ns });
        self.update_next_deadline();
    }

    /// The guest reads.
    #[inline]
    pub fn read(&mut self, access: &Access, time: Time<'_>) -> u64 {
        let Some(mapping) = self.find(access) else {
            self.note_unclaimed(*access, false);
            return access.all_ones();
        };
        if access.size > mapping.region.max_size {
            return self.read_pieces(*access, mapping.region.max_size, time);
        }
        self.read_device(access, mapping, time)
    }

    /// The guest writes.
    #[inline]
    pub fn write(&mut self, access: &Access, value: u64, time: Time<'_>) {
        let Some(mapping) = self.find(access) else {
            return self.write_elsewhere(*access, value);
        };
        let value = value & access.all_ones();
        if access.size > mapping.region.max_size {
            return self.write_pieces(*access, value, mapping.region.max_size, time);
        }
        self.write_device(access, mapping, value, time);
    }

    /// When [`advance`](Self::advance) has to be called next; `u64::MAX` is never.
    #[inline]
    pub fn next_deadline_ns(&self) -> u64 {
        self.next_deadline_ns
    }

    /// Lets every device catch up with time, whether its deadline has come or not.
    pub fn advance(&mut self, time: Time<'_>) {
        for attached in &mut self.devices {
            let mut context = Context::new(&mut self.interrupts, &time, &mut self.signal);
            attached.device.advance(&mut context);
            attached.deadline_ns = attached.device.next_deadline_ns().unwrap_or(NEVER);
        }
        self.update_next_deadline();
    }

    /// The guest waits, or has ended: devices hand over what they hold. Whether something other
    /// than time may still interrupt the guest.
    pub fn idle(&mut self, time: Time<'_>) -> bool {
        let mut wakes = false;
        for attached in &mut self.devices {
            let mut context = Context::new(&mut self.interrupts, &time, &mut self.signal);
            wakes |= attached.device.idle(&mut context);
            attached.deadline_ns = attached.device.next_deadline_ns().unwrap_or(NEVER);
        }
        self.update_next_deadline();
        wakes
    }

    /// What a device has asked of the run loop since this was last called.
    #[inline]
    pub fn take_signal(&mut self) -> Option<Signal> {
        // It is asked after every access, and there is one per run.
        if self.signal.is_some() { self.signal.take() } else { None }
    }

    /// The accesses that no device claimed, the first [`Self::MAX_UNCLAIMED`] kinds of them.
    pub fn unclaimed(&self) -> &[Unclaimed] {
        &self.unclaimed
    }

    /// All ranges that devices claim: space, first address, length.
    pub fn ranges(&self) -> impl Iterator<Item = (Space, u64, u64)> {
        self.mappings
            .iter()
            .map(|Mapping { region, .. }| (region.space, region.base, region.length))
    }

    #[inline]
    fn find(&self, access: &Access) -> Option<Mapping> {
        let index = match access.space {
            Space::Port => {
                let slot = *self.ports.get(usize::try_from(access.address).ok()?)?;
                usize::from(slot).checked_sub(1)?
            }
            Space::Memory => {
                let after = self.memory.partition_point(|(range, _)| range.start <= access.address);
                let (range, index) = self.memory.get(after.checked_sub(1)?)?;
                range.contains(&access.address).then_some(*index)?
            }
        };
        self.mappings.get(index).copied()
    }

    #[inline]
    fn read_device(&mut self, access: &Access, mapping: Mapping, time: Time<'_>) -> u64 {
        let register = register(access, mapping);
        let value = self.with_device(mapping.device, time, |device, context| {
            device.read(register, access.size, context)
        });
        value & access.all_ones()
    }

    #[inline]
    fn write_device(&mut self, access: &Access, mapping: Mapping, value: u64, time: Time<'_>) {
        let register = register(access, mapping);
        self.with_device(mapping.device, time, |device, context| {
            device.write(register, access.size, value, context);
        });
    }

    #[inline]
    fn with_device<R>(
        &mut self,
        index: usize,
        time: Time<'_>,
        call: impl FnOnce(&mut dyn Device, &mut Context<'_>) -> R,
    ) -> R {
        let attached = &mut self.devices[index];
        let mut context = Context::new(&mut self.interrupts, &time, &mut self.signal);
        let result = call(&mut *attached.device, &mut context);
        let deadline_ns = attached.device.next_deadline_ns().unwrap_or(NEVER);
        if deadline_ns != attached.deadline_ns {
            attached.deadline_ns = deadline_ns;
            self.update_next_deadline();
        }
        result
    }

    fn update_next_deadline(&mut self) {
        let deadlines = self.devices.iter().map(|attached| attached.deadline_ns);
        self.next_deadline_ns = deadlines.min().unwrap_or(NEVER);
    }

    #[cold]
    fn read_pieces(&mut self, access: Access, piece_size: u8, time: Time<'_>) -> u64 {
        let mut value = 0;
        for (shift, piece) in pieces(access, piece_size) {
            let part = match self.find(&piece) {
                Some(mapping) => self.read_device(&piece, mapping, time),
                None => piece.all_ones(),
            };
            value |= part << shift;
        }
        value
    }

    #[cold]
    fn write_pieces(&mut self, access: Access, value: u64, piece_size: u8, time: Time<'_>) {
        for (shift, piece) in pieces(access, piece_size) {
            if let Some(mapping) = self.find(&piece) {
                self.write_device(&piece, mapping, value >> shift & piece.all_ones(), time);
            }
        }
    }

    /// A write that is for no device may still be an interrupt message.
    #[cold]
    fn write_elsewhere(&mut self, access: Access, value: u64) {
        let whole = access.space == Space::Memory && access.size == 4;
        if !(whole && self.interrupts.write_message(access.address, value as u32)) {
            self.note_unclaimed(access, true);
        }
    }

    #[cold]
    fn note_unclaimed(&mut self, access: Access, write: bool) {
        let same = |known: &&mut Unclaimed| known.access == access && known.write == write;
        if let Some(known) = self.unclaimed.iter_mut().find(same) {
            known.count += 1;
        } else if self.unclaimed.len() < Self::MAX_UNCLAIMED {
            self.unclaimed.push(Unclaimed { access, write, count: 1 });
        }
    }
}

fn register(access: &Access, Mapping { region, .. }: Mapping) -> u16 {
    region.register.wrapping_add((access.address - region.base) as u16)
}

/// An access in pieces of `size` bytes, each with its place in the value.
fn pieces(access: Access, size: u8) -> impl Iterator<Item = (u32, Access)> {
    (0..access.size.min(8)).step_by(size.max(1).into()).map(move |offset| {
        let address = access.address.wrapping_add(offset.into());
        (8 * u32::from(offset), Access { address, size, ..access })
    })
}

#[cfg(test)]
mod tests {
    use monovisor_core::InstructionClock;

    use super::*;

    /// Remembers its registers, and asks for a call at the time last written.
    #[derive(Default)]
    struct Memory([u8; 16]);

    impl Device for Memory {
        fn read(&mut self, register: u16, size: u8, _context: &mut Context<'_>) -> u64 {
            let start = usize::from(register);
            let bytes = &self.0[start..start + usize::from(size)];
            bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
        }

        fn write(&mut self, register: u16, size: u8, value: u64, _context: &mut Context<'_>) {
            let start = usize::from(register);
            let size = usize::from(size);
            self.0[start..start + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }

        fn next_deadline_ns(&self) -> Option<u64> {
            Some(self.0[0].into()).filter(|&deadline| deadline != 0)
        }

        fn advance(&mut self, _context: &mut Context<'_>) {
            self.0[0] = 0;
        }
    }

    fn region(space: Space, base: u64, length: u64, register: u16, max_size: u8) -> Region {
        Region { space, base, length, register, max_size }
    }

    fn bus() -> Bus {
        let mut bus = Bus::default();
        bus.attach(
            Box::new(Memory::default()),
            &[region(Space::Port, 0x10, 4, 0, 1), region(Space::Port, 0x20, 4, 4, 1)],
        );
        bus.attach(Box::new(Memory::default()), &[region(Space::Memory, 0x1000, 16, 0, 4)]);
        bus.attach(Box::new(Memory::default()), &[region(Space::Memory, 0x800, 16, 0, 8)]);
        bus
    }

    fn now() -> Time<'static> {
        Time::new(&InstructionClock, 0)
    }

    fn port(address: u64, size: u8) -> Access {
        Access { space: Space::Port, address, size }
    }

    fn memory(address: u64, size: u8) -> Access {
        Access { space: Space::Memory, address, size }
    }

    #[test]
    fn accesses_reach_the_register_they_name() {
        let mut bus = bus();
        bus.write(&port(0x11, 1), 0x1ff, now());
        bus.write(&port(0x20, 1), 0x42, now());
        assert_eq!(bus.read(&port(0x11, 1), now()), 0xff);
        assert_eq!(bus.read(&port(0x20, 1), now()), 0x42);
        bus.write(&memory(0x80c, 4), 0x1234_5678, now());
        assert_eq!(bus.read(&memory(0x80e, 2), now()), 0x1234);
        assert!(bus.unclaimed().is_empty());
    }

    #[test]
    fn wide_accesses_are_split_and_their_unclaimed_parts_read_ones() {
        let mut bus = bus();
        bus.write(&memory(0x1000, 8), 0x1122_3344_5566_7788, now());
        assert_eq!(bus.read(&memory(0x1004, 4), now()), 0x1122_3344);
        assert_eq!(bus.read(&memory(0x1000, 8), now()), 0x1122_3344_5566_7788);
        bus.write(&port(0x12, 4), 0xaabb_ccdd, now());
        assert_eq!(bus.read(&port(0x12, 4), now()), 0xffff_ccdd);
    }

    #[test]
    fn unclaimed_accesses_are_counted_up_to_a_bound() {
        let mut bus = bus();
        for (access, ones) in [
            (port(0x14, 1), 0xff),
            (port(0x14, 2), 0xffff),
            (memory(0x1010, 4), 0xffff_ffff),
            (memory(u64::MAX, 8), u64::MAX),
            (memory(0, 1), 0xff),
            (port(0x1_0000, 1), 0xff),
        ] {
            assert_eq!(bus.read(&access, now()), ones);
        }
        bus.read(&port(0x14, 1), now());
        bus.write(&port(0x14, 1), 0, now());
        assert_eq!(bus.unclaimed()[0], Unclaimed { access: port(0x14, 1), write: false, count: 2 });
        assert_eq!(bus.unclaimed().len(), 7);
        for address in 0x100..0x200 {
            bus.write(&port(address, 1), 0, now());
        }
        assert_eq!(bus.unclaimed().len(), Bus::MAX_UNCLAIMED);
    }

    #[test]
    fn the_nearest_deadline_counts() {
        let mut bus = bus();
        assert_eq!(bus.next_deadline_ns(), u64::MAX);
        bus.write(&port(0x10, 1), 9, now());
        bus.write(&memory(0x1000, 1), 5, now());
        assert_eq!(bus.next_deadline_ns(), 5);
        bus.write(&memory(0x1000, 1), 0, now());
        assert_eq!(bus.next_deadline_ns(), 9);
        bus.advance(now());
        assert_eq!(bus.next_deadline_ns(), u64::MAX);
    }
}

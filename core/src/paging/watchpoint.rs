//! Breakpoints on data and on I/O: which linear addresses and ports DR0 to DR3 and DR7 watch, and
//! which of them the instruction at hand has accessed (SDM, "Debug Registers", "Data Memory and I/O
//! Breakpoint Exception Conditions").
//!
//! Pages with a watchpoint have no read or write tag in the TLBs, so every access to them comes
//! through `Mmu::locate`, which notes it here. That an instruction's hits become a trap behind it is
//! the vCPU's business; so are breakpoints on execution. Whether CR4.DE allows those on I/O is for the
//! port instructions to know.

use super::AccessKind;
use crate::state::Debug;

/// The breakpoints on data and on I/O that are enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watchpoints {
    watched: [Option<Watchpoint>; 4],
    /// For each that was hit since the hits were last taken, its bit in DR6.
    hits: u8,
}

/// What hits a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Write,
    Access,
    Port,
}

/// One breakpoint: an aligned range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watchpoint {
    first: u64,
    last: u64,
    on: On,
}

impl Watchpoint {
    /// Breakpoint `number`, if it is one on data or I/O and enabled, locally or globally.
    fn of(debug: &Debug, number: usize) -> Option<Self> {
        let enabled = debug.dr7 >> (2 * number) & 0b11 != 0;
        let field = debug.dr7 >> (16 + 4 * number);
        let on = match field & 0b11 {
            0b01 => On::Write,
            0b10 => On::Port,
            0b11 => On::Access,
            _ => return None,
        };
        let bytes = [1, 2, 8, 4][(field >> 2 & 0b11) as usize];
        // The low bits of the address that the length covers are ignored.
        let first = debug.address[number] & !(bytes - 1);
        enabled.then_some(Self { first, last: first | (bytes - 1), on })
    }

    fn overlaps(&self, first: u64, last: u64) -> bool {
        self.first <= last && first <= self.last
    }
}

impl Watchpoints {
    pub(super) fn of(debug: &Debug) -> Self {
        Self { watched: core::array::from_fn(|number| Watchpoint::of(debug, number)), hits: 0 }
    }

    /// Whether these watch the same as `other`.
    pub(super) fn watch_as(&self, other: &Self) -> bool {
        self.watched == other.watched
    }

    /// Whether any byte of the page of `linear` is watched.
    #[inline]
    pub(super) fn in_page(&self, linear: u64) -> bool {
        let page = linear & !0xfff;
        let mut watched = self.watched.iter().flatten();
        watched
            .any(|watchpoint| watchpoint.on != On::Port && watchpoint.overlaps(page, page | 0xfff))
    }

    /// Notes an access of `bytes` bytes that does not fault; whether it hit.
    #[inline]
    pub(super) fn note(&mut self, linear: u64, bytes: usize, kind: AccessKind) -> bool {
        let last = linear.saturating_add(bytes as u64 - 1);
        let write = kind == AccessKind::Write;
        self.hit(linear, last, |on| on == On::Access || write && on == On::Write)
    }

    /// Notes an access to `bytes` ports from `port` on.
    pub(super) fn note_port(&mut self, port: u16, bytes: usize) {
        let first = u64::from(port);
        self.hit(first, first + bytes as u64 - 1, |on| on == On::Port);
    }

    fn hit(&mut self, first: u64, last: u64, fits: impl Fn(On) -> bool) -> bool {
        let mut hits = 0;
        for (number, watchpoint) in self.watched.iter().enumerate() {
            let Some(watchpoint) = watchpoint else { continue };
            hits |= u8::from(fits(watchpoint.on) && watchpoint.overlaps(first, last)) << number;
        }
        self.hits |= hits;
        hits != 0
    }

    /// The hits since the last call, in the places of DR6.
    pub(super) fn take_hits(&mut self) -> u8 {
        core::mem::take(&mut self.hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breakpoint 2 alone.
    fn watch(address: u64, kind: u64, length: u64) -> Watchpoints {
        let debug =
            Debug { address: [0, 0, address, 0], dr6: 0, dr7: 1 << 5 | kind << 24 | length << 26 };
        Watchpoints::of(&debug)
    }

    #[test]
    fn each_length_covers_its_aligned_bytes() {
        for (length, bytes) in [(0, 1), (1, 2), (3, 4), (2, 8)] {
            let first = 0x1007 & !(bytes - 1);
            for address in 0xff0..0x1020 {
                let mut watched = watch(0x1007, 1, length);
                let inside = (first..first + bytes).contains(&address);
                assert_eq!(watched.note(address, 1, AccessKind::Write), inside, "{address:#x}");
                assert_eq!(watched.take_hits(), u8::from(inside) << 2);
                assert_eq!(watched.take_hits(), 0, "taken");
            }
        }
    }

    #[test]
    fn the_kind_decides() {
        let hit = |kind, access| watch(0x1000, kind, 0).note(0x0fff, 4, access);
        assert!(!hit(0, AccessKind::Write), "execution");
        assert!(!hit(2, AccessKind::Write), "I/O");
        assert!(hit(1, AccessKind::Write));
        assert!(!hit(1, AccessKind::Read));
        assert!(hit(3, AccessKind::Write));
        assert!(hit(3, AccessKind::Read));
    }

    #[test]
    fn ports_are_apart_from_memory() {
        for (port, bytes, hits) in [(0x1000, 1, 4), (0xfff, 1, 0), (0xffd, 4, 4), (0x1004, 1, 0)] {
            let mut watched = watch(0x1000, 2, 3);
            watched.note_port(port, bytes);
            assert_eq!(watched.take_hits(), hits, "{port:#x}");
        }
        let mut watched = watch(0x1000, 3, 3);
        watched.note_port(0x1000, 1);
        assert_eq!(watched.take_hits(), 0);
        assert!(!watch(0x1000, 2, 3).in_page(0x1000));
    }

    #[test]
    fn pages_beside_are_not_watched() {
        let watched = watch(0x1ff8, 1, 2);
        assert_eq!(
            [0x0fff, 0x1000, 0x1fff, 0x2000].map(|at| watched.in_page(at)),
            [false, true, true, false]
        );
    }
}

//! Where the devices' interrupt lines end: the pair of PICs and the I/O APIC, which see every line
//! side by side as on a PC. Delivery to a processor is the run loop's business.

use monovisor_core::apic::{DeliveryMode, IoApic, Message};

use super::Pic;
use crate::memory::layout::{IO_APIC_ID, TIMER_PIN};

/// An ISA interrupt line, 0 to 15. The registry hands them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub u8);

/// Where the coprocessor's errors go.
const COPROCESSOR: Line = Line(13);

/// The interrupt controllers.
pub struct Interrupts {
    /// The two cascaded 8259A.
    pub pic: Pic,
    io_apic: IoApic,
    messages: Vec<Message>,
    changed: bool,
    /// The lines as they are, a bit each.
    levels: u16,
    /// The system has taken note of the coprocessor's error.
    error_ignored: bool,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self {
            pic: Pic::default(),
            io_apic: IoApic::new(IO_APIC_ID),
            messages: Vec::new(),
            changed: false,
            levels: 0,
            error_ignored: false,
        }
    }
}

impl Interrupts {
    /// A device drives `line` to `level`. The controllers remember the lines, so nothing comes of
    /// driving one to where it is.
    #[inline]
    pub fn set_line(&mut self, line: Line, level: bool) {
        if (self.levels >> line.0 & 1 != 0) != level {
            self.levels ^= 1 << line.0;
            self.follow_line(line, level);
        }
    }

    fn follow_line(&mut self, line: Line, level: bool) {
        self.pic.set_line(line.0, level);
        let pin = if line.0 == 0 { TIMER_PIN } else { line.0 };
        let message = self.io_apic.set_line(pin.into(), level);
        self.send(message);
    }

    /// A rising edge of `line` that ends at `level`, wherever the line was before.
    pub fn pulse_line(&mut self, line: Line, level: bool) {
        self.set_line(line, false);
        self.set_line(line, true);
        self.set_line(line, level);
    }

    /// A processor has asserted FERR#, which is a `new` error or the one before it still. Whether it is
    /// to go on, because the system has taken note; else its line interrupts.
    pub fn floating_point_error(&mut self, new: bool) -> bool {
        self.error_ignored &= !new;
        self.set_line(COPROCESSOR, !self.error_ignored);
        self.error_ignored
    }

    /// The system takes note of the coprocessor's error.
    pub fn ignore_floating_point_error(&mut self) {
        self.error_ignored |= self.levels >> COPROCESSOR.0 & 1 != 0;
        self.set_line(COPROCESSOR, false);
    }

    /// Reads a register of the I/O APIC.
    pub fn read_io_apic(&self, offset: u16) -> u32 {
        self.io_apic.read(offset.into())
    }

    /// Writes a register of the I/O APIC.
    pub fn write_io_apic(&mut self, offset: u16, value: u32) {
        let message = self.io_apic.write(offset.into(), value);
        self.send(message);
    }

    /// A write to where message-signalled interrupts go. Whether it was one.
    pub fn write_message(&mut self, address: u64, data: u32) -> bool {
        let message = Message::from_msi(address, data);
        self.send(message);
        message.is_some()
    }

    /// A local APIC has ended the handling of the level-triggered `vector`.
    pub fn end_of_interrupt(&mut self, vector: u8) {
        let message = self.io_apic.end_of_interrupt(vector);
        self.send(message);
        // Or LINT0's: the PIC's output may still be high.
        self.changed = true;
    }

    /// Whether the I/O APIC may send a message with this delivery mode.
    pub fn can_send(&self, mode: DeliveryMode) -> bool {
        self.io_apic.can_send(mode)
    }

    /// Notes that the PIC's output may have changed.
    pub fn pic_changed(&mut self) {
        self.changed = true;
    }

    /// Whether something may have to be delivered since this was last asked.
    #[inline]
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes the messages that wait for a local APIC.
    pub fn take_messages(&mut self) -> std::vec::Drain<'_, Message> {
        self.messages.drain(..)
    }

    fn send(&mut self, message: impl IntoIterator<Item = Message>) {
        self.messages.extend(message);
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(interrupts: &mut Interrupts, line: u32, entry: u32) {
        interrupts.write_io_apic(0, 0x10 + 2 * line);
        interrupts.write_io_apic(0x10, entry);
    }

    #[test]
    fn the_timer_is_on_pin_2_and_the_others_on_their_own() {
        for (line, pin) in [(0, 2), (1, 1), (4, 4), (15, 15)] {
            let mut interrupts = Interrupts::default();
            redirect(&mut interrupts, pin, 0x40 + pin);
            interrupts.set_line(Line(line), true);
            let vectors: Vec<_> = interrupts.take_messages().map(|m| m.vector).collect();
            assert_eq!(vectors, [0x40 + pin as u8]);
            assert!(interrupts.take_changed() && !interrupts.take_changed());
        }
    }

    #[test]
    fn a_line_that_stays_where_it_is_changes_nothing() {
        let mut interrupts = Interrupts::default();
        redirect(&mut interrupts, 4, 0x8050);
        for (level, changed) in [(false, false), (true, true), (true, false), (false, true)] {
            interrupts.take_changed();
            interrupts.set_line(Line(4), level);
            assert_eq!(interrupts.take_changed(), changed);
        }
    }

    #[test]
    fn a_level_triggered_line_is_sent_again_after_its_end() {
        let mut interrupts = Interrupts::default();
        redirect(&mut interrupts, 4, 0x8050);
        interrupts.set_line(Line(4), true);
        assert_eq!(interrupts.take_messages().count(), 1);
        interrupts.end_of_interrupt(0x50);
        assert_eq!(interrupts.take_messages().count(), 1);
        interrupts.set_line(Line(4), false);
        interrupts.end_of_interrupt(0x50);
        assert_eq!(interrupts.take_messages().count(), 0);
    }

    #[test]
    fn writes_to_the_local_apics_are_messages() {
        let mut interrupts = Interrupts::default();
        assert!(interrupts.write_message(0xfee0_1000, 0x61));
        assert!(!interrupts.write_message(0xfee0_1000, 0x361), "a reserved delivery mode");
        assert!(!interrupts.write_message(0xfef0_0000, 0x61));
        let vectors: Vec<_> = interrupts.take_messages().map(|m| m.vector).collect();
        assert_eq!(vectors, [0x61]);
    }

    #[test]
    fn only_an_unmasked_nmi_entry_sends_one() {
        let mut interrupts = Interrupts::default();
        for (entry, nmi) in [(0x0040, false), (0x1_0400, false), (0x0400, true)] {
            redirect(&mut interrupts, 3, entry);
            assert_eq!(interrupts.can_send(DeliveryMode::Nmi), nmi);
        }
    }

    #[test]
    fn the_coprocessors_error_interrupts_until_the_system_takes_note() {
        let mut interrupts = Interrupts::default();
        redirect(&mut interrupts, 13, 0x4d);
        interrupts.ignore_floating_point_error();
        assert!(!interrupts.floating_point_error(true), "nothing was there to note before");
        assert_eq!(interrupts.take_messages().count(), 1);
        assert!(!interrupts.floating_point_error(false));
        interrupts.ignore_floating_point_error();
        assert!(interrupts.floating_point_error(false));
        assert_eq!(interrupts.take_messages().count(), 0);
        assert!(!interrupts.floating_point_error(true), "another one");
        assert_eq!(interrupts.take_messages().count(), 1);
    }
}

//! Which devices the platform has: one row each, with where its registers are. Nothing else in the
//! program ties a device to an address.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use monovisor_core::Space;

use super::acpi_pm::AcpiPm;
use super::coprocessor::CoprocessorError;
use super::debug_console::DebugConsole;
use super::debug_exit::DebugExit;
use super::io_apic::IoApicRegisters;
use super::keyboard_controller::KeyboardController;
use super::output::Output;
use super::pic::PicRegisters;
use super::pit::Pit;
use super::post::Post;
use super::reset_control::ResetControl;
use super::rtc::{RamSizes, Rtc};
use super::serial::Serial;
use super::shutdown_port::ShutdownPort;
use super::system_control::SystemControl;
use super::virtio::{Block, Disk, VirtioMmio};
use super::{Device, Input, Line};
use crate::bus::{Bus, Region};
use crate::memory::{GuestRam, layout};
use crate::remote::Remote;

/// Where the guest's bytes come from and go to.
#[derive(Clone, Debug, Default)]
pub struct Console {
    /// Takes the serial port's output.
    pub serial: Option<Arc<File>>,
    /// Gives the serial port's input.
    pub input: Option<Input>,
    /// Takes the debug console's output.
    pub debug: Option<Arc<File>>,
}

/// What devices are made from.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// The host's side of the serial port and the debug console.
    pub console: Console,
    /// Nanoseconds since 1970 when the machine's time is 0.
    pub unix_ns: u128,
    /// How much RAM there is.
    pub ram: RamSizes,
    /// The disks, in the order in which the guest finds them.
    pub disks: Vec<Arc<Disk>>,
    /// Learns when a disk has done something. Without it the guest waits for every request, and
    /// runs repeat.
    pub remote: Option<Remote>,
}

/// A row: the registers of a device, and how it is made.
struct Row {
    regions: &'static [Region],
    make: fn(&Platform) -> Box<dyn Device>,
}

const TIMER: Line = Line(0);
const KEYBOARD: Line = Line(1);
const COM1: Line = Line(layout::COM1_IRQ);
const CLOCK: Line = Line(8);

/// Ports of a device whose registers are bytes.
const fn bytes(ports: Range<u16>, register: u16) -> Region {
    words(ports, register, 1)
}

/// A single byte-wide port.
const fn byte(port: u16, register: u16) -> Region {
    bytes(port..port + 1, register)
}

/// Ports of a device whose registers are up to `max_size` bytes wide.
const fn words(ports: Range<u16>, register: u16, max_size: u8) -> Region {
    let length = (ports.end - ports.start) as u64;
    Region { space: Space::Port, base: ports.start as u64, length, register, max_size }
}

#[rustfmt::skip]
const PLATFORM: &[Row] = &[
    Row { regions: &[bytes(layout::COM1, 0)],
          make: |p| Box::new(Serial::new(COM1, Output::new(p.console.serial.clone()), p.console.input.clone())) },
    Row { regions: &[bytes(layout::PIC_MASTER, 0), bytes(layout::PIC_SLAVE, 2), bytes(layout::PIC_ELCR, 4)],
          make: |_| Box::new(PicRegisters) },
    Row { regions: &[bytes(layout::PIT, 0), byte(layout::PIT_SPEAKER, 4)],
          make: |_| Box::new(Pit::new(TIMER)) },
    Row { regions: &[bytes(layout::RTC, 0)],
          make: |p| Box::new(Rtc::new(CLOCK, p.unix_ns, p.ram)) },
    Row { regions: &[byte(layout::I8042_DATA, 0), byte(layout::I8042_COMMAND, 1)],
          make: |_| Box::new(KeyboardController::new(KEYBOARD)) },
    Row { regions: &[byte(layout::POST, 0)],
          make: |_| Box::new(Post) },
    Row { regions: &[byte(layout::SYSTEM_CONTROL, 0)],
          make: |_| Box::new(SystemControl) },
    Row { regions: &[byte(layout::COPROCESSOR_ERROR, 0)],
          make: |_| Box::new(CoprocessorError) },
    Row { regions: &[byte(layout::DEBUG_CONSOLE, 0)],
          make: |p| Box::new(DebugConsole::new(Output::new(p.console.debug.clone()))) },
    Row { regions: &[words(layout::DEBUG_EXIT, 0, 4)],
          make: |_| Box::new(DebugExit) },
    Row { regions: &[words(layout::ACPI_PM, 0, 4)],
          make: |_| Box::new(AcpiPm::default()) },
    Row { regions: &[words(layout::ACPI_PM_BOCHS, 0, 4)],
          make: |_| Box::new(AcpiPm::default()) },
    Row { regions: &[byte(layout::RESET_CONTROL, 0)],
          make: |_| Box::new(ResetControl::default()) },
    Row { regions: &[byte(layout::POWER_OFF_STRING, 0)],
          make: |_| Box::new(ShutdownPort::new(layout::POWER_OFF_WORD)) },
    Row { regions: &[Region { space: Space::Memory, base: layout::IO_APIC, length: layout::IO_APIC_BYTES, register: 0, max_size: 4 }],
          make: |_| Box::new(IoApicRegisters) },
];

/// A bus with all devices of the platform, of a machine with this RAM.
pub fn assemble(platform: &Platform, ram: &Arc<GuestRam>) -> Bus {
    let mut bus = Bus::default();
    for row in PLATFORM {
        bus.attach((row.make)(platform), row.regions);
    }
    let places = (layout::VIRTIO..).step_by(layout::VIRTIO_BYTES as usize).zip(layout::VIRTIO_IRQS);
    for (index, (disk, (base, irq))) in platform.disks.iter().zip(places).enumerate() {
        let block = Block::new(Arc::clone(disk), format!("monovisor-disk-{index}"));
        let remote = platform.remote.clone();
        let device = VirtioMmio::new(block, Line(irq), Arc::clone(ram), remote);
        let length = layout::VIRTIO_BYTES;
        let region = Region { space: Space::Memory, base, length, register: 0, max_size: 4 };
        bus.attach(Box::new(device), &[region]);
    }
    bus
}

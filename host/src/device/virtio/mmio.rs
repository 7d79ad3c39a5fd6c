//! The registers of a virtio device in memory (Virtio 1.2, "Virtio Over MMIO"), for devices with one
//! queue.
//!
//! Invariant: the interrupt line is high exactly while the interrupt status is not 0, as far as
//! accesses and kicks have told.

use std::sync::Arc;

use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_mmio as register;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_INDIRECT_DESC;
use virtio_queue::QueueT;

use super::Backend;
use super::worker::{QUEUE_SIZE, Worker};
use crate::device::{Context, Device, Line};
use crate::memory::GuestRam;
use crate::remote::Remote;

/// "virt" in ASCII.
const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// The version of the register layout that Virtio 1 has.
const VERSION: u32 = 2;
/// "mono".
const VENDOR: u32 = u32::from_le_bytes(*b"mono");
/// What a register that does not exist reads.
const ABSENT: u32 = 0;
/// A shared memory region that does not exist has this length.
const NO_REGION: u32 = u32::MAX;

/// A virtio device.
pub struct VirtioMmio {
    worker: Worker,
    line: Line,
    device_id: u32,
    features: u64,
    config: Box<[u8]>,
    status: u32,
    driver_features: u64,
    device_features_select: u32,
    driver_features_select: u32,
    queue_select: u32,
}

impl VirtioMmio {
    /// The registers of `backend`, whose interrupt is `line`. Without a `remote` to tell of
    /// interrupts the guest waits for every request.
    #[expect(private_bounds, reason = "the registry names the kinds of devices there are")]
    pub fn new(
        backend: impl Backend + 'static,
        line: Line,
        ram: Arc<GuestRam>,
        remote: Option<Remote>,
    ) -> Self {
        let features =
            backend.features() | 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC;
        Self {
            line,
            device_id: backend.device_id(),
            features,
            config: backend.config().into(),
            worker: Worker::new(Box::new(backend), ram, remote),
            status: 0,
            driver_features: 0,
            device_features_select: 0,
            driver_features_select: 0,
            queue_select: 0,
        }
    }

    fn register(&self, offset: u16) -> u32 {
        match u32::from(offset) {
            register::VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            register::VIRTIO_MMIO_VERSION => VERSION,
            register::VIRTIO_MMIO_DEVICE_ID => self.device_id,
            register::VIRTIO_MMIO_VENDOR_ID => VENDOR,
            register::VIRTIO_MMIO_DEVICE_FEATURES => {
                half(self.features, self.device_features_select)
            }
            register::VIRTIO_MMIO_QUEUE_NUM_MAX if self.queue_select == 0 => QUEUE_SIZE.into(),
            register::VIRTIO_MMIO_QUEUE_READY if self.queue_select == 0 => {
                self.worker.service().queue.ready().into()
            }
            register::VIRTIO_MMIO_INTERRUPT_STATUS => self.worker.interrupt_status(),
            register::VIRTIO_MMIO_STATUS => self.status(),
            register::VIRTIO_MMIO_SHM_LEN_LOW | register::VIRTIO_MMIO_SHM_LEN_HIGH => NO_REGION,
            _ => ABSENT,
        }
    }

    fn set_register(&mut self, offset: u16, value: u32) {
        match u32::from(offset) {
            register::VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_select = value,
            register::VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_select = value,
            register::VIRTIO_MMIO_DRIVER_FEATURES => self.set_driver_features(value),
            register::VIRTIO_MMIO_QUEUE_SEL => self.queue_select = value,
            register::VIRTIO_MMIO_QUEUE_NOTIFY if value == 0 && self.is_live() => {
                self.worker.notify();
            }
            register::VIRTIO_MMIO_INTERRUPT_ACK => self.worker.acknowledge(value),
            register::VIRTIO_MMIO_STATUS => self.set_status(value),
            offset if self.queue_select == 0 => self.set_queue(offset, value),
            _ => {}
        }
    }

    /// A register of the queue. The ring's places can't change under a queue that is in use.
    fn set_queue(&self, offset: u32, value: u32) {
        let queue = &mut self.worker.service().queue;
        if offset == register::VIRTIO_MMIO_QUEUE_READY {
            return queue.set_ready(value == 1);
        }
        if queue.ready() {
            return;
        }
        match offset {
            register::VIRTIO_MMIO_QUEUE_NUM => {
                // One that is too large is refused, as is 0.
                queue.set_size(u16::try_from(value).unwrap_or(0));
            }
            register::VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            register::VIRTIO_MMIO_QUEUE_DESC_HIGH => {
                queue.set_desc_table_address(None, Some(value))
            }
            register::VIRTIO_MMIO_QUEUE_AVAIL_LOW => {
                queue.set_avail_ring_address(Some(value), None)
            }
            register::VIRTIO_MMIO_QUEUE_AVAIL_HIGH => {
                queue.set_avail_ring_address(None, Some(value))
            }
            register::VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(Some(value), None),
            register::VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
    }

    fn set_driver_features(&mut self, value: u32) {
        if self.status & VIRTIO_CONFIG_S_FEATURES_OK != 0 {
            return;
        }
        let value = u64::from(value);
        match self.driver_features_select {
            0 => self.driver_features = self.driver_features & !0xffff_ffff | value,
            1 => self.driver_features = self.driver_features & 0xffff_ffff | value << 32,
            _ => {}
        }
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            self.worker.reset();
            (self.status, self.driver_features) = (0, 0);
            return;
        }
        let mut status = value & !VIRTIO_CONFIG_S_NEEDS_RESET;
        let agreed = self.driver_features & !self.features == 0
            && self.driver_features & 1 << VIRTIO_F_VERSION_1 != 0;
        if !agreed {
            // The driver reads it back, and sees that these features won't do.
            status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        }
        let began = status & !self.status;
        self.status = status;
        if began & VIRTIO_CONFIG_S_FEATURES_OK != 0 {
            self.worker.service().backend.accept(self.driver_features);
        }
    }

    fn status(&self) -> u32 {
        let broken = if self.worker.is_broken() { VIRTIO_CONFIG_S_NEEDS_RESET } else { 0 };
        self.status | broken
    }

    /// Whether the driver has set the device up.
    fn is_live(&self) -> bool {
        let live = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
        self.status & live == live
    }

    fn update_line(&self, context: &mut Context<'_>) {
        context.interrupts.set_line(self.line, self.worker.interrupt_status() != 0);
    }
}

impl Device for VirtioMmio {
    fn read(&mut self, offset: u16, size: u8, _context: &mut Context<'_>) -> u64 {
        match offset.checked_sub(register::VIRTIO_MMIO_CONFIG as u16) {
            Some(start) => (0..usize::from(size)).rev().fold(0, |value, byte| {
                let byte = self.config.get(usize::from(start) + byte).copied().unwrap_or(0);
                value << 8 | u64::from(byte)
            }),
            // Registers are read whole and aligned; what else a guest tries reads 0.
            None if size == 4 => self.register(offset).into(),
            None => 0,
        }
    }

    fn write(&mut self, offset: u16, size: u8, value: u64, context: &mut Context<'_>) {
        // None of the devices has a configuration that a driver writes.
        if size == 4 && u32::from(offset) < register::VIRTIO_MMIO_CONFIG {
            self.set_register(offset, value as u32);
            self.update_line(context);
        }
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        self.worker.waits_in_line().then_some(0)
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        if self.worker.waits_in_line() {
            self.worker.serve_in_line();
        }
        self.update_line(context);
    }

    fn idle(&mut self, context: &mut Context<'_>) -> bool {
        let busy = self.worker.is_busy();
        self.update_line(context);
        busy
    }
}

/// The half of `features` that a feature-select register chooses.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

//! Virtio devices: registers in memory (`mmio`), one queue that a worker serves (`worker`), and
//! what a device does with a request (`block`). The rings and descriptor chains themselves are
//! `virtio-queue`'s.
//!
//! Invariant: nothing that a guest writes into rings, descriptors or requests does more than end
//! that request with an error, or stop the device until the guest resets it.

mod block;
mod buffers;
mod disk;
mod mmio;
#[cfg(test)]
mod tests;
mod worker;

use virtio_queue::desc::split::Descriptor;
use vm_memory::GuestMemoryMmap;

pub use block::Block;
pub use disk::{Disk, DiskError};
pub use mmio::VirtioMmio;

/// What stands behind a transport: one kind of virtio device with one queue.
trait Backend: Send {
    /// Virtio's number for this kind of device.
    fn device_id(&self) -> u32;

    /// The feature bits it offers beside those of the transport.
    fn features(&self) -> u64;

    /// The device's part of the configuration space.
    fn config(&self) -> &[u8];

    /// The driver has accepted these features.
    fn accept(&mut self, features: u64);

    /// Carries out the request of these descriptors. How many bytes it has written into their buffers;
    /// all of the request's effects have happened when it returns.
    fn handle(&mut self, memory: &GuestMemoryMmap, descriptors: &[Descriptor]) -> u32;

    /// The same if nothing has to be waited for; none if it has, and then nothing has happened that
    /// [`handle`](Self::handle) would not do again.
    fn handle_at_once(
        &mut self,
        memory: &GuestMemoryMmap,
        descriptors: &[Descriptor],
    ) -> Option<u32>;
}

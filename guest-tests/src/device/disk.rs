//! The disk: virtio-blk over MMIO, where QEMU's `microvm` and monovisor have it. The driver is
//! `virtio-drivers`; here is where it finds devices and memory.

use core::ptr::NonNull;

use virtio_drivers::device::blk::VirtIOBlk;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::paging;

pub use virtio_drivers::Error;
pub use virtio_drivers::device::blk::{BlkReq, BlkResp, RespStatus, SECTOR_SIZE};

/// Where the first device's registers are.
const REGISTERS: usize = 0xfeb0_0000;
/// How many bytes each has.
const LENGTH: usize = 0x200;
/// How many there can be.
const SLOTS: usize = 8;
/// The I/O APIC's pin of the first.
const FIRST_PIN: u32 = 5;

/// A disk's driver.
pub type Disk = VirtIOBlk<Identity, MmioTransport<'static>>;

/// The first disk, with its pin of the I/O APIC.
pub fn find() -> Option<(Disk, u32)> {
    let (transport, pin) = find_transport()?;
    Some((Disk::new(transport).ok()?, pin))
}

/// The registers of the first disk, with its pin.
pub(super) fn find_transport() -> Option<(MmioTransport<'static>, u32)> {
    (0..SLOTS).find_map(|slot| {
        let registers = NonNull::new((REGISTERS + slot * LENGTH) as *mut VirtIOHeader)?;
        // SAFETY: the boot code has mapped the device's registers, and what is none reads otherwise.
        let transport = unsafe { MmioTransport::new(registers, LENGTH) }.ok()?;
        let is_disk = transport.device_type() == DeviceType::Block;
        is_disk.then(|| (transport, FIRST_PIN + slot as u32))
    })
}

/// Memory for a driver in a guest whose linear addresses are physical ones.
pub struct Identity;

// SAFETY: frames are zeroed, aligned, and given to one owner; addresses are the same on both sides.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let address = paging::frames(pages as u64, PAGE_SIZE as u64);
        (address, NonNull::new(address as *mut u8).expect("frames are not at 0"))
    }

    // Rings live as long as the guest.
    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).expect("no device is at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().addr().get() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

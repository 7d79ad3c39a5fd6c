//! Device accesses of the instruction that is being executed.
//!
//! A read whose answer is not there ends the attempt; the vCPU asks its host, hands the answer over
//! and executes the instruction anew, which then finds the answers in the order of its reads. Writes
//! wait until the instruction has completed. Invariant: after [`DeviceAccesses::restart`] the
//! instruction sees the same answers again, after [`DeviceAccesses::retire`] none. A vCPU that goes on
//! at the very op that has asked has it [`await`](DeviceAccesses::await_read) its answer instead.

use heapless::Vec;

use crate::Access;

/// More than any instruction makes: XRSTOR of 832 bytes is 104 reads of eight bytes.
const CAPACITY: usize = 132;

/// Answers to the instruction's reads, and the writes it has made.
#[derive(Debug, Default)]
pub(crate) struct DeviceAccesses {
    answers: Vec<u64, CAPACITY>,
    used: usize,
    /// The only read that the only answer is for.
    awaited: Option<Access>,
    writes: Vec<(Access, u64), CAPACITY>,
}

impl DeviceAccesses {
    /// The host's answer to the read that ended the last attempt.
    pub(crate) fn answer(&mut self, data: u64) {
        // When full, the read it belongs to has not asked: see `read`.
        let _ = self.answers.push(data);
    }

    /// Makes ready to execute the same instruction anew.
    pub(crate) fn restart(&mut self) {
        self.used = 0;
        self.awaited = None;
        self.writes.clear();
    }

    /// Makes ready for the next instruction. The caller has taken the writes.
    pub(crate) fn retire(&mut self) {
        self.answers.clear();
        self.restart();
    }

    /// The next read is `access`, which the only answer is for; it uses the answer up.
    pub(crate) fn await_read(&mut self, access: Access) {
        self.awaited = Some(access);
    }

    /// Whether answers stay until the instruction has completed.
    pub(crate) fn keeps_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The writes of the instruction, in its order.
    pub(crate) fn writes(&self) -> &[(Access, u64)] {
        &self.writes
    }

    /// Reads from a device; `Err` if the host must be asked first. Open bus when the instruction
    /// makes more reads than any real one.
    pub(crate) fn read(&mut self, access: Access) -> Result<u64, Access> {
        if let Some(awaited) = self.awaited.take() {
            let answer = self.answers.pop();
            // Where the page has become another device's meanwhile, the answer is not for this read.
            if let Some(data) = answer.filter(|_| awaited == access) {
                return Ok(data & access.all_ones());
            }
        }
        match self.answers.get(self.used) {
            Some(&data) => {
                self.used += 1;
                Ok(data & access.all_ones())
            }
            None if self.answers.is_full() => Ok(access.all_ones()),
            None => Err(access),
        }
    }

    /// Writes to a device. Lost when the instruction makes more writes than any real one.
    pub(crate) fn write(&mut self, access: Access, data: u64) {
        let _ = self.writes.push((access, data & access.all_ones()));
    }
}

/// The accesses of 8, 4, 2 and 1 bytes that make up `length` bytes: offset and size of each.
pub(super) fn pieces(length: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut offset = 0;
    core::iter::from_fn(move || {
        let left = length - offset;
        let size = [8, 4, 2, 1].into_iter().find(|&size| size <= left)?;
        offset += size;
        Some((offset - size, size))
    })
}

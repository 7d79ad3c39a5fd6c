//! Where a device's bytes leave the machine: a file descriptor behind a buffer of fixed size.
//!
//! Invariant: bytes wait at most [`Output::DELAY_NS`] of the machine's time, and never while the
//! guest waits.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Bytes that one system call should carry.
const CAPACITY: usize = 16 << 10;

/// A buffered sink. [`Write::flush`] does nothing, since the serial port's model calls it for every
/// byte: [`drain`](Self::drain) hands the bytes over.
#[derive(Debug)]
pub struct Output {
    sink: Option<Arc<File>>,
    buffer: Vec<u8>,
}

impl Output {
    /// How long bytes may wait.
    pub const DELAY_NS: u64 = 2_000_000;

    /// Bytes go to `sink`; without one they vanish.
    pub fn new(sink: Option<Arc<File>>) -> Self {
        Self { sink, buffer: Vec::new() }
    }

    /// Whether bytes wait.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Hands over what waits.
    ///
    /// # Errors
    /// Whoever reads has gone, or the device is full. The bytes are lost then.
    pub fn drain(&mut self) -> io::Result<()> {
        let Some(sink) = &self.sink else { return Ok(()) };
        let result = write_all(sink, &self.buffer);
        self.buffer.clear();
        result
    }
}

/// As [`Write::write_all`], but waits where a descriptor was made non-blocking by who shares it.
fn write_all(mut sink: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(sink),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_writable(sink: &File) {
    let mut request = libc::pollfd { fd: sink.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid structure, as counted; the result only says when to try again.
    unsafe { libc::poll(&raw mut request, 1, 100) };
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.sink.is_some() {
            if self.buffer.len() + bytes.len() > CAPACITY {
                self.drain()?;
            }
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};

    #[test]
    fn bytes_wait_until_drained_or_the_buffer_is_full() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let mut output = Output::new(Some(Arc::new(file.try_clone().expect("a descriptor"))));
        let length = |file: &File| file.metadata().expect("metadata").len();
        output.write_all(b"abc").expect("room");
        output.flush().expect("nothing to do");
        assert_eq!((length(&file), output.is_empty()), (0, false));
        output.drain().expect("written");
        assert_eq!((length(&file), output.is_empty()), (3, true));
        for _ in 0..=CAPACITY {
            output.write_all(b"x").expect("written");
        }
        assert_eq!(length(&file), 3 + CAPACITY as u64);
        file.seek(SeekFrom::Start(0)).expect("seekable");
        let mut start = [0; 4];
        file.read_exact(&mut start).expect("readable");
        assert_eq!(&start, b"abcx");
    }

    #[test]
    fn a_closed_reader_is_an_error() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let sink = File::from(std::os::fd::OwnedFd::from(writer));
        let mut output = Output::new(Some(Arc::new(sink)));
        output.write_all(b"x").expect("buffered");
        let error = output.drain().expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(output.is_empty());
    }

    #[test]
    fn null_keeps_nothing() {
        let mut output = Output::new(None);
        output.write_all(&[0; 100_000]).expect("nothing to do");
        output.drain().expect("nothing to do");
        assert!(output.is_empty());
    }
}

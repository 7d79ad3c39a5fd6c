//! Bytes on their way from the host to a device: out of a file, which is read when the device has
//! room, or through a queue of fixed capacity from a thread that waits for them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

const CAPACITY: usize = 4096;

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<u8>>,
    room: Condvar,
    /// The queue has bytes; looked at without the lock.
    available: AtomicBool,
    /// No byte will be added.
    ended: AtomicBool,
    /// Nobody takes bytes any more.
    abandoned: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The device's end. Clones take from the same source.
#[derive(Clone, Debug)]
pub struct Input(Arc<Source>);

#[derive(Debug)]
enum Source {
    File(FileSource),
    Queue(Taker),
}

/// A file whose reads never wait.
#[derive(Debug)]
struct FileSource {
    file: File,
    ended: AtomicBool,
}

/// Whoever takes bytes out of the queue; tells the reader when it goes.
#[derive(Debug)]
struct Taker(Arc<Shared>);

/// The host's end of the queue. The input ends when it is dropped.
#[derive(Debug)]
pub struct InputReader(Arc<Shared>);

impl Input {
    /// Both ends of an empty queue.
    pub fn channel() -> (InputReader, Self) {
        let shared = Arc::new(Shared::default());
        let taker = Taker(Arc::clone(&shared));
        (InputReader(shared), Self(Arc::new(Source::Queue(taker))))
    }

    /// The bytes of a file, which must be one whose reads do not wait for anybody. What the guest
    /// receives, and when, depends on the guest alone.
    pub fn file(file: File) -> Self {
        Self(Arc::new(Source::File(FileSource { file, ended: AtomicBool::new(false) })))
    }

    /// Whether bytes wait; a file that has ended may say so only at the next attempt to take some.
    #[inline]
    pub fn is_available(&self) -> bool {
        match &*self.0 {
            Source::File(source) => !source.ended.load(Ordering::Relaxed),
            Source::Queue(taker) => taker.0.available.load(Ordering::Acquire),
        }
    }

    /// Whether bytes that do not wait yet may still come. Once this is false, it stays so, and all
    /// bytes that came are there to be taken.
    pub fn is_open(&self) -> bool {
        match &*self.0 {
            Source::File(_) => false,
            Source::Queue(taker) => !taker.0.ended.load(Ordering::Acquire),
        }
    }

    /// Takes as many bytes as wait and fit; their number.
    pub fn take(&self, bytes: &mut [u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        match &*self.0 {
            Source::File(source) => source.take(bytes),
            Source::Queue(taker) => taker.take(bytes),
        }
    }
}

impl FileSource {
    fn take(&self, bytes: &mut [u8]) -> usize {
        loop {
            match (&self.file).read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) if count > 0 => return count,
                // An unreadable file is as good as an empty one.
                _ => {
                    self.ended.store(true, Ordering::Relaxed);
                    return 0;
                }
            }
        }
    }
}

impl Taker {
    fn take(&self, bytes: &mut [u8]) -> usize {
        let mut queue = self.0.lock();
        let count = bytes.len().min(queue.len());
        for (byte, taken) in bytes.iter_mut().zip(queue.drain(..count)) {
            *byte = taken;
        }
        self.0.available.store(!queue.is_empty(), Ordering::Release);
        self.0.room.notify_one();
        count
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let _queue = self.0.lock();
        self.0.abandoned.store(true, Ordering::Release);
        self.0.room.notify_one();
    }
}

impl InputReader {
    /// Queues as many of `bytes` as there is room for, waiting for room for the first one. Returns
    /// their number; 0 when the other end is gone.
    pub fn push(&self, bytes: &[u8]) -> usize {
        let mut queue = self.0.lock();
        loop {
            if self.0.abandoned.load(Ordering::Acquire) {
                return 0;
            }
            let count = bytes.len().min(CAPACITY - queue.len());
            if count > 0 || bytes.is_empty() {
                queue.extend(&bytes[..count]);
                self.0.available.store(!queue.is_empty(), Ordering::Release);
                return count;
            }
            queue = self.0.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl InputReader {
    /// No more bytes will come.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_the_end_is_seen_after_the_last() {
        let (reader, input) = Input::channel();
        assert!(input.is_open() && !input.is_available());
        assert_eq!(reader.push(b"abcd"), 4);
        drop(reader);
        let mut bytes = [0; 3];
        assert_eq!(input.take(&mut bytes), 3);
        assert_eq!(&bytes, b"abc");
        assert!(!input.is_open() && input.is_available());
        assert_eq!(input.take(&mut bytes), 1);
        assert!(!input.is_available());
        assert_eq!(input.take(&mut bytes), 0);
    }

    #[test]
    fn a_file_ends_when_it_is_read_to_its_end() {
        use std::io::{Seek, SeekFrom, Write};
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"abc").expect("room");
        file.seek(SeekFrom::Start(0)).expect("seekable");
        let input = Input::file(file);
        let mut bytes = [0; 16];
        assert!(input.is_available());
        assert_eq!((input.take(&mut []), input.take(&mut bytes)), (0, 3));
        assert_eq!(&bytes[..3], b"abc");
        assert_eq!(input.take(&mut bytes), 0);
        assert!(!input.is_available());
    }

    #[test]
    fn a_full_queue_makes_the_reader_wait_and_an_abandoned_one_lets_it_go() {
        let (reader, input) = Input::channel();
        assert_eq!(reader.push(&[7; 2 * CAPACITY]), CAPACITY);
        let waiting = std::thread::spawn(move || (reader.push(b"x"), reader.push(&[0; CAPACITY])));
        let mut byte = [0];
        assert_eq!(input.take(&mut byte), 1);
        let mut rest = vec![0; CAPACITY];
        let mut taken = 0;
        while taken < CAPACITY {
            taken += input.take(&mut rest);
        }
        drop(input);
        let (first, second) = waiting.join().expect("no panic");
        assert_eq!(first, 1);
        assert!(second <= CAPACITY);
    }
}

//! The process's standard streams as a guest's console, past the standard library's buffers.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use crate::device::{Input, InputReader};

/// Standard output.
pub fn output() -> io::Result<Arc<File>> {
    file(io::stdout().as_fd()).map(Arc::new)
}

/// Standard error, if it is open.
pub fn error() -> Option<Arc<File>> {
    file(io::stderr().as_fd()).ok().map(Arc::new)
}

/// Standard input. A file is read when the guest has room for its bytes. What may have to be waited
/// for (a terminal, a pipe, a socket) comes through a queue that a thread fills, and not at all to a
/// deterministic machine, whose course it would change.
pub fn input(deterministic: bool) -> io::Result<(Option<Input>, Option<InputReader>)> {
    let file = file(io::stdin().as_fd())?;
    let kind = file.metadata()?.file_type();
    if !(kind.is_fifo() || kind.is_socket() || file.is_terminal()) {
        return Ok((Some(Input::file(file)), None));
    }
    if deterministic {
        return Ok((None, None));
    }
    let (reader, input) = Input::channel();
    Ok((Some(input), Some(reader)))
}

fn file(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    Ok(descriptor.try_clone_to_owned()?.into())
}

//! What the vCPUs of one machine tell each other about code: for each page of RAM which of them have
//! translated code of it, and which may write to it through a TLB; and an inbox for each vCPU. What a
//! vCPU does with that is in `sharing`.
//!
//! Invariant: whoever sets a bit here does so before a full fence, and looks for the others' bits
//! behind it. So of a vCPU that begins to watch a page and one that begins to write to it, or writes
//! to it, at least one sees the other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use heapless::Vec;
use spin::Mutex;

use super::{chunks, pages};
use crate::memory::PAGE_SIZE;
use crate::sync::{AtomicBool, AtomicU64, Ordering, Padded, Site, barrier, zeroes};

/// Requests that an inbox holds one by one.
const REQUESTS: usize = 32;

/// Which vCPUs of a machine have translated which code, so that a store by one of them, or by a
/// device, reaches the others.
///
/// A machine with more than one vCPU makes one, and lets each [`Vcpu::join`](crate::Vcpu::join) it.
pub struct SharedCode {
    /// For each page below the end of RAM: the chunks that may hold code, a bit for each vCPU that
    /// watches it, and a bit for each that may write to it. Memory that is never used is never touched.
    pages: Box<[AtomicU64]>,
    /// Words of a set of vCPUs.
    words: usize,
    /// Each is written by other threads than its neighbours.
    members: Box<[Padded<Member>]>,
    joined: AtomicU64,
}

/// One vCPU's part that others reach.
struct Member {
    /// The inbox is not empty.
    attention: AtomicBool,
    /// The vCPU executes; from outside it comes back through its inbox.
    inside: AtomicBool,
    inbox: Mutex<Inbox>,
}

/// What others ask of a vCPU.
pub(super) struct Inbox {
    pub(super) requests: Vec<Request, REQUESTS>,
    /// More was written than `requests` can hold.
    pub(super) everything: bool,
    /// More writing is to stop than `requests` can hold.
    pub(super) stop_all_writing: bool,
}

/// What others ask of a vCPU about one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) page: u64,
    /// Chunks that were written: code that was translated from them is to be forgotten.
    pub(super) written: u64,
    /// No more writes to the page through a TLB.
    pub(super) stop_writing: bool,
}

/// A set of vCPUs of a page.
#[derive(Clone, Copy)]
pub(super) enum Set {
    /// They have translated code of the page, or are about to.
    Watchers,
    /// They may have written to the page through a TLB, unseen by others, or still do.
    Writers,
}

impl SharedCode {
    /// For as many as `vcpus` processors, with RAM below guest-physical address `ram_end`. RAM beyond
    /// it is slow to write to, because each vCPU is then told of each store.
    pub fn new(vcpus: usize, ram_end: u64) -> Arc<Self> {
        let words = vcpus.div_ceil(64).max(1);
        let page_count = usize::try_from(ram_end.div_ceil(PAGE_SIZE)).unwrap_or(usize::MAX);
        Arc::new(Self {
            pages: zeroes(page_count.saturating_mul(1 + 2 * words)),
            words,
            members: (0..vcpus).map(|_| Padded(Member::new())).collect(),
            joined: AtomicU64::new(0),
        })
    }

    /// Somebody who is no vCPU, a device or a debugger, has written `length` bytes at guest-physical
    /// `address`: code that was translated from them is forgotten, by each vCPU as soon as if another
    /// had written them.
    pub fn memory_written(&self, address: u64, length: u64) {
        for (start, length) in pages(address, length) {
            self.written(start, length, None);
        }
    }

    /// The number of a vCPU that joins; `None` if there are as many as was said.
    pub(super) fn join(&self) -> Option<usize> {
        let number = self.joined.fetch_add(1, Ordering::Relaxed) as usize;
        (number < self.members.len()).then_some(number)
    }

    /// The words of `page` in `pages`, if it is below the end of RAM.
    #[inline(always)]
    fn place(&self, page: u64) -> Option<usize> {
        let place = (page / PAGE_SIZE) as usize * (1 + 2 * self.words);
        (place < self.pages.len()).then_some(place)
    }

    #[inline(always)]
    fn word(&self, page: u64, set: Set, word: usize) -> Option<&AtomicU64> {
        let first = match set {
            Set::Watchers => 1,
            Set::Writers => 1 + self.words,
        };
        Some(&self.pages[self.place(page)? + first + word])
    }

    /// What word number `word` of a set of `page` holds. Beyond the end of RAM everybody watches, so
    /// that nobody writes through a TLB.
    #[inline(always)]
    fn bits(&self, page: u64, set: Set, word: usize) -> u64 {
        match (self.word(page, set, word), set) {
            (Some(bits), _) => bits.load(Ordering::Acquire),
            (None, Set::Watchers) => u64::MAX,
            (None, Set::Writers) => 0,
        }
    }

    /// Adds vCPU `number` to a set of `page`; what follows is behind a full fence.
    pub(super) fn add(&self, page: u64, set: Set, number: usize) {
        if let Some(word) = self.word(page, set, number / 64)
            && word.load(Ordering::Relaxed) & 1 << (number % 64) == 0
        {
            word.fetch_or(1 << (number % 64), Ordering::AcqRel);
        }
        barrier(match set {
            Set::Watchers => Site::WatchFence,
            Set::Writers => Site::WriteFence,
        });
    }

    /// Removes vCPU `number` from a set of `page`.
    pub(super) fn remove(&self, page: u64, set: Set, number: usize) {
        if let Some(word) = self.word(page, set, number / 64) {
            word.fetch_and(!(1 << (number % 64)), Ordering::AcqRel);
        }
    }

    /// Whether vCPU `number` is in a set of `page`.
    #[inline(always)]
    pub(super) fn contains(&self, page: u64, set: Set, number: usize) -> bool {
        self.bits(page, set, number / 64) & 1 << (number % 64) != 0
    }

    /// Whether a set of `page` has a vCPU other than `number`.
    #[inline(always)]
    pub(super) fn has_others(&self, page: u64, set: Set, number: usize) -> bool {
        (0..self.words).any(|word| self.others_in(page, set, word, number) != 0)
    }

    /// Word number `word` of a set of `page` without vCPU `number`.
    #[inline(always)]
    fn others_in(&self, page: u64, set: Set, word: usize, number: usize) -> u64 {
        let others = self.bits(page, set, word);
        if number / 64 == word { others & !(1 << (number % 64)) } else { others }
    }

    /// The vCPUs in a set of `page`, but for `number`.
    pub(super) fn others(
        &self,
        page: u64,
        set: Set,
        number: usize,
    ) -> impl Iterator<Item = usize> + '_ {
        (0..self.words).flat_map(move |word| {
            let mut bits = self.others_in(page, set, word, number);
            core::iter::from_fn(move || {
                let bit = (bits != 0).then_some(bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }

    /// More chunks of `page` may hold code. Chunks are never taken back: too many cost a look.
    pub(super) fn add_chunks(&self, page: u64, mask: u64) {
        if let Some(place) = self.place(page) {
            self.pages[place].fetch_or(mask, Ordering::AcqRel);
        }
    }

    /// Tells the vCPUs that watch the page of `length` bytes at `physical` that they were written;
    /// not vCPU `writer`, which knows.
    pub(super) fn written(&self, physical: u64, length: u32, writer: Option<usize>) {
        barrier(Site::TellFence);
        let page = physical & !(PAGE_SIZE - 1);
        let watched =
            self.place(page).map_or(u64::MAX, |place| self.pages[place].load(Ordering::Acquire));
        let written = chunks(physical, length) & watched;
        if written != 0 {
            for watcher in self.others(page, Set::Watchers, writer.unwrap_or(usize::MAX)) {
                self.post(watcher, Request { page, written, stop_writing: false });
            }
        }
    }

    /// Puts a request into the inbox of vCPU `number`.
    pub(super) fn post(&self, number: usize, request: Request) {
        let Some(member) = self.members.get(number) else { return };
        member.inbox.lock().add(request);
        member.attention.store(true, Ordering::Release);
    }

    /// Whether vCPU `number` has requests; one relaxed load.
    #[inline(always)]
    pub(super) fn has_requests(&self, number: usize) -> bool {
        self.members[number].attention.load(Ordering::Relaxed)
    }

    /// Takes the requests of vCPU `number`, if it has any.
    pub(super) fn take_requests(&self, number: usize) -> Option<Inbox> {
        let Member { attention, inbox, .. } = &*self.members[number];
        // What is posted from now on raises it anew.
        let any = attention.load(Ordering::Relaxed) && attention.swap(false, Ordering::Acquire);
        any.then(|| core::mem::replace(&mut *inbox.lock(), Inbox::EMPTY))
    }

    /// vCPU `number` executes from now on: it looks into its inbox behind this, before anything else.
    pub(super) fn enter(&self, number: usize) {
        self.members[number].inside.store(true, Ordering::Relaxed);
        barrier(Site::ArriveFence);
    }

    /// vCPU `number` does not execute until it enters again.
    pub(super) fn leave(&self, number: usize) {
        self.members[number].inside.store(false, Ordering::Release);
    }

    /// Whether vCPU `number` executes. If not, its stores are visible behind this, and it looks into
    /// its inbox before others.
    pub(super) fn is_inside(&self, number: usize) -> bool {
        self.members.get(number).is_some_and(|member| member.inside.load(Ordering::Acquire))
    }
}

impl fmt::Debug for SharedCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = self.joined.load(Ordering::Relaxed).min(self.members.len() as u64);
        formatter.debug_struct("SharedCode").field("joined", &joined).finish_non_exhaustive()
    }
}

impl Member {
    fn new() -> Self {
        Self {
            attention: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            inbox: Mutex::new(Inbox::EMPTY),
        }
    }
}

impl Inbox {
    const EMPTY: Self = Self { requests: Vec::new(), everything: false, stop_all_writing: false };

    fn add(&mut self, request: Request) {
        if let Some(known) = self.requests.iter_mut().find(|known| known.page == request.page) {
            known.written |= request.written;
            known.stop_writing |= request.stop_writing;
        } else if self.requests.push(request).is_err() {
            self.everything |= request.written != 0;
            self.stop_all_writing |= request.stop_writing;
        }
    }
}

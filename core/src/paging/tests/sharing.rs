//! Two MMUs on one memory: who may write to pages with translated code, and who is told.

use std::sync::Mutex;

use super::super::shared_code::Request;
use super::super::{SharedCode, chunks};
use super::*;
use AccessKind::Write;

/// A vCPU among others, whose page at 0x5000 is the physical one at 0x8000.
struct Member {
    mmu: Box<Mmu>,
    state: CpuState,
}

const LINEAR: u64 = 0x5000;
const PAGE: u64 = 0x8000;

/// `COUNT` vCPUs that execute.
fn members<const COUNT: usize>() -> (Guest, Arc<SharedCode>, [Member; COUNT]) {
    let mut guest = Guest::new();
    guest.map(LINEAR, PAGE | P | W);
    let shared = SharedCode::new(COUNT, RAM_BYTES as u64);
    let members = join(&guest, &shared);
    (guest, shared, members)
}

fn join<const COUNT: usize>(guest: &Guest, shared: &Arc<SharedCode>) -> [Member; COUNT] {
    core::array::from_fn(|_| Member::new(guest.memory.clone(), &guest.state, shared))
}

impl Member {
    fn new(memory: Arc<dyn GuestMemory>, state: &CpuState, shared: &Arc<SharedCode>) -> Self {
        let mut mmu = Mmu::new(memory);
        assert!(mmu.join(shared));
        mmu.update_mode(state);
        mmu.enter();
        Self { mmu, state: state.clone() }
    }

    fn write(&mut self, linear: u64) {
        let result = self.mmu.write(&self.state, linear, 1u8, Privilege::Current);
        assert_eq!(result, Ok(()));
    }

    /// Whether the TLB serves writes.
    fn has_tag(&self, linear: u64) -> bool {
        let tlb = &self.mmu.tlbs[self.mmu.active / size_of::<super::super::Tlb>()];
        tlb.lookup(linear, 1, Write).is_some()
    }

    /// Translates the first bytes of a page.
    fn translate(&mut self, page: u64) {
        self.mmu.begin_watch(page, 256);
        assert!(self.mmu.watch(page, 1));
    }

    /// Looks at what others have asked, and forgets the code of pages that were written.
    fn follow(&mut self) -> std::vec::Vec<u64> {
        self.mmu.follow_others();
        self.mmu.attention = false;
        let written: std::vec::Vec<u64> =
            self.mmu.code.written.iter().map(|(page, _)| *page).collect();
        self.mmu.code.written.clear();
        for &page in &written {
            self.mmu.watch_only(page, 0);
        }
        written
    }
}

#[test]
fn no_write_tag_while_another_watches() {
    let (_guest, _shared, [mut writer, mut watcher]) = members();
    watcher.translate(PAGE);
    writer.write(LINEAR + 0x800);
    assert!(!writer.has_tag(LINEAR));
    assert!(!watcher.mmu.has_requests(), "another chunk");
    writer.write(LINEAR + 0x3f);
    assert!(watcher.mmu.has_requests() && watcher.mmu.may_be_stale());
    assert_eq!(watcher.follow(), [PAGE]);
    assert!(!watcher.mmu.may_be_stale());
    // Nobody watches any more.
    writer.write(LINEAR);
    assert!(writer.has_tag(LINEAR));
    assert!(!watcher.mmu.may_be_stale());
}

#[test]
fn every_way_to_write_is_told() {
    type Way = fn(&mut Member);
    let (guest, shared, [mut writer, mut watcher]) = members();
    let ways: [(&str, Way); 3] = [
        ("a store", |writer| writer.write(LINEAR)),
        ("a store across pages", |writer| {
            let result = writer.mmu.write(&writer.state, LINEAR - 4, 0u64, Privilege::Current);
            assert_eq!(result, Ok(()));
        }),
        ("a locked operation", |writer| {
            let result = writer.mmu.modify(&writer.state, LINEAR, true, |old: u32| old + 1);
            assert!(result.is_ok());
        }),
    ];
    guest.poke(PT + 4 * 8, 0x9000 | P | W);
    for (name, write) in ways {
        watcher.translate(PAGE);
        write(&mut writer);
        assert_eq!(watcher.follow(), [PAGE], "{name}");
    }
    watcher.translate(PAGE);
    shared.memory_written(PAGE - 0x800, 0x801);
    assert_eq!(watcher.follow(), [PAGE], "a device");
    // Marking an entry of a table that holds code.
    watcher.mmu.begin_watch(PT, 256);
    assert!(watcher.mmu.watch(PT, chunks(PT + 5 * 8, 8)));
    guest.poke(PT + 5 * 8, PAGE | P | W);
    writer.mmu.flush_all();
    writer.write(LINEAR);
    assert_eq!(watcher.follow(), [PT], "an accessed flag");
}

/// A tag that is older than the watch: what is written through it is not seen, so the watcher has to
/// read anew wherever it serialises, until the writer has given the tag up.
#[test]
fn a_tag_that_is_older_than_the_watch() {
    let (_guest, _shared, [mut writer, mut watcher]) = members();
    writer.write(LINEAR);
    assert!(writer.has_tag(LINEAR));
    for _ in 0..3 {
        watcher.translate(PAGE);
        assert!(watcher.mmu.may_be_stale());
        writer.write(LINEAR);
        assert!(writer.has_tag(LINEAR), "it has not looked");
        watcher.mmu.serialize();
        assert!(watcher.mmu.attention);
        assert_eq!(watcher.follow(), [PAGE]);
    }
    watcher.translate(PAGE);
    assert!(writer.mmu.has_requests());
    assert!(writer.follow().is_empty());
    assert!(!writer.has_tag(LINEAR));
    assert_eq!(watcher.follow(), [PAGE], "it may have been written");
    watcher.translate(PAGE);
    assert!(!watcher.mmu.may_be_stale(), "there are no writers any more");
}

/// Memory in which a vCPU looks at what others have asked as soon as one page is looked up.
struct Interrupted {
    memory: Arc<Memory>,
    writer: Mutex<Option<Member>>,
}

/// That page.
const ELSEWHERE: u64 = 0x2_0000;

// SAFETY: the pages are those of the memory inside.
unsafe impl GuestMemory for Interrupted {
    fn page(&self, address: u64) -> Option<HostPage> {
        if address == ELSEWHERE
            && let Some(mut writer) = self.writer.lock().expect("no panic").take()
        {
            assert!(writer.follow().is_empty());
            assert!(!writer.has_tag(LINEAR));
        }
        self.memory.page(address)
    }
}

/// The watcher has just taken its inbox when the writer gives the tag up: the page may have been
/// written, though there is no writer any more, and what it told is not in that inbox.
#[test]
fn a_tag_that_is_given_up_while_the_watcher_looks() {
    let mut guest = Guest::new();
    guest.map(LINEAR, PAGE | P | W);
    let shared = SharedCode::new(2, RAM_BYTES as u64);
    let mut writer = Member::new(guest.memory.clone(), &guest.state, &shared);
    writer.write(LINEAR);
    let memory = Arc::new(Interrupted { memory: guest.memory.clone(), writer: Mutex::new(None) });
    let mut watcher = Member::new(memory.clone(), &guest.state, &shared);
    watcher.translate(PAGE);
    *memory.writer.lock().expect("no panic") = Some(writer);
    shared.post(1, Request { page: ELSEWHERE, written: 0, stop_writing: true });
    assert_eq!(watcher.follow(), [PAGE]);
    assert!(memory.writer.lock().expect("no panic").is_none(), "it has been there");
}

#[test]
fn a_tag_that_was_replaced_meanwhile() {
    let (_guest, _shared, [mut writer, mut watcher]) = members();
    writer.write(LINEAR);
    watcher.translate(PAGE);
    writer.write(LINEAR);
    writer.mmu.flush_all();
    assert!(writer.follow().is_empty());
    assert_eq!(watcher.follow(), [PAGE]);
}

/// A vCPU that does not execute holds up nobody, and gives its tags up before it goes on.
#[test]
fn a_writer_that_sleeps() {
    let (_guest, _shared, [mut writer, mut watcher]) = members();
    writer.write(LINEAR);
    writer.mmu.leave();
    watcher.translate(PAGE);
    assert!(!watcher.mmu.may_be_stale());
    writer.mmu.enter();
    assert!(writer.follow().is_empty());
    assert!(!writer.has_tag(LINEAR));
    writer.write(LINEAR);
    assert_eq!(watcher.follow(), [PAGE]);
}

#[test]
fn a_writer_that_executes_its_page_itself() {
    let (_guest, _shared, [mut writer, mut watcher]) = members();
    writer.write(LINEAR);
    writer.translate(PAGE);
    watcher.translate(PAGE);
    assert!(!watcher.mmu.may_be_stale() && !writer.mmu.has_requests());
    writer.write(LINEAR);
    assert_eq!((writer.follow(), watcher.follow()), (std::vec![PAGE], std::vec![PAGE]));
}

/// More requests than an inbox holds, and more unsettled pages than are known one by one.
#[test]
fn more_than_there_is_room_for() {
    let mut guest = Guest::with_memory(1 << 20, u64::MAX);
    let shared = SharedCode::new(2, 1 << 20);
    let pages = (0x2_0000..0x8_0000).step_by(0x1000);
    pages.clone().for_each(|page| guest.map(page, page | P | W));
    let [mut writer, mut watcher] = join(&guest, &shared);
    pages.clone().for_each(|page| writer.write(page));
    pages.clone().for_each(|page| watcher.translate(page));
    watcher.mmu.follow_others();
    assert!(watcher.mmu.code.everything && watcher.mmu.attention);
    assert!(writer.follow().is_empty());
    assert!(pages.clone().all(|page| !writer.has_tag(page)));
    // All are written while the watcher sleeps.
    watcher.mmu.code.everything = false;
    watcher.mmu.leave();
    pages.clone().for_each(|page| writer.write(page));
    watcher.mmu.enter();
    watcher.mmu.follow_others();
    assert!(watcher.mmu.code.everything);
}

#[test]
fn a_hundred_members() {
    let (_guest, _shared, mut members) = members::<100>();
    for (writer, watcher) in [(0, 99), (99, 0), (64, 63), (70, 69)] {
        members[watcher].translate(PAGE);
        members[writer].write(LINEAR);
        assert_eq!(members[watcher].follow(), [PAGE]);
        assert!(members.iter().all(|member| !member.mmu.has_requests()));
        // The writer's tag is asked for.
        members[writer].write(LINEAR);
        assert!(members[writer].has_tag(LINEAR));
        members[watcher].translate(PAGE);
        assert!(members[writer].mmu.has_requests());
        members[writer].follow();
        members[watcher].follow();
    }
}

#[test]
fn pages_beyond_the_end_of_ram_that_was_said() {
    let mut guest = Guest::new();
    guest.map(LINEAR, PAGE | P | W);
    let shared = SharedCode::new(2, PAGE);
    let [mut writer, mut watcher] = join(&guest, &shared);
    writer.write(LINEAR);
    assert!(!writer.has_tag(LINEAR));
    assert!(watcher.follow().is_empty());
    watcher.translate(PAGE);
    assert!(!watcher.mmu.may_be_stale() && !writer.mmu.has_requests(), "nobody writes unseen");
    writer.write(LINEAR);
    assert_eq!(watcher.follow(), [PAGE]);
}

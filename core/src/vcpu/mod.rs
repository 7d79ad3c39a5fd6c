//! One vCPU on the interpreter: the loop around translated blocks.
//!
//! Between instructions the loop looks at events, finds the block to execute, lets handlers run,
//! and acts on the reason why they left. Handlers know nothing of blocks; blocks know nothing of
//! events.
//!
//! Invariant: while the loop has control, `state.rip` is the next instruction, and the frame's
//! words with `Cpu::kind` are its status flags.

mod engine;
mod events;
mod resume;
mod shared;

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::apic::LocalApic;
use crate::cpuid::Model;
use crate::exclusive::{Inside, Outside};
use crate::execute::emit::{Mode, Origin, Vectors};
use crate::execute::flags::Kind;
use crate::execute::op::Op;
use crate::execute::sse::host_float;
use crate::execute::x87::ErrorLine;
use crate::execute::{Cpu, Leave};
use crate::interrupt::{FaultLog, Shutdown};
use crate::paging::{AccessError, chunks, linear_address_bits, pages};
use crate::state::{
    Activity, CpuState, Cr0Flags, Cr4Flags, Exception, RFlags, SegmentRegister, Shadow, XCr0Flags,
};
use crate::translate::{Cache, Found, Key, Lowering};
use crate::{Access, Clock, Engine, Exit, GuestMemory};

/// A virtual processor that interprets.
///
/// All its storage, some 20 MiB of which the host backs only what is used, is taken by
/// [`new`](Self::new); running takes none.
pub struct Vcpu {
    cpu: Box<Cpu>,
    cache: Cache,
    lowering: Lowering,
    log: FaultLog,
    device: DeviceRead,
    /// Device writes of the last instruction that have been acted on.
    written: usize,
    /// The MMU's flushes that the jump caches have followed.
    followed_flushes: u64,
    /// What the blocks in the jump caches were translated for.
    followed_mode: (Mode, u64, u32),
    /// The instruction that executes began with TF set.
    trapping: bool,
    /// What held events back for the instruction before which so many were retired, and does again if
    /// that is begun anew.
    held_back: (u64, Shadow),
    /// The processor is to begin at its reset vector, which the host does not know yet.
    reset: bool,
    /// The block is to go on where the frame says, after a device access: see `resume`.
    suspended: bool,
    /// The retired instructions at which the budget ends for which the local APIC's timer was
    /// looked at.
    budget_end: u64,
    /// The place at the gate of a vCPU that has others beside it.
    place: Option<Outside>,
    /// The host's bus lock may serve splits.
    bus_lock: bool,
}

// SAFETY: the pointer leads into the code cache, which the same value owns.
unsafe impl Send for Vcpu {}

/// How far the instruction at hand is with reading from devices.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeviceRead {
    /// It has not.
    None,
    /// The host has been asked.
    Asked(Access),
    /// The answer to it is there, and the instruction is to be executed anew.
    Answered(Access),
}

/// Where the loop goes on.
enum Next {
    /// At `state.rip`, after a look at events.
    Events,
    /// At the first op of a block, without.
    Block(*const Op),
}

impl Vcpu {
    /// A processor after reset with `memory`, a source of time, and its APIC ID.
    pub fn new(memory: Arc<dyn GuestMemory>, clock: Arc<dyn Clock>, apic_id: u32) -> Self {
        Self {
            cpu: Cpu::new(memory, clock, apic_id),
            cache: Cache::new(),
            lowering: Lowering::new(),
            log: FaultLog::new(),
            device: DeviceRead::None,
            written: 0,
            followed_flushes: 0,
            followed_mode: translated_for(&CpuState::reset(apic_id), false),
            trapping: false,
            held_back: (0, Shadow::default()),
            reset: false,
            suspended: false,
            budget_end: 0,
            place: None,
            bus_lock: false,
        }
    }

    /// Makes it tell of itself through CPUID what `model` says; it has the bits of CR4 and XCR0, the
    /// model-specific registers and the linear addresses of the features that are left. By default it
    /// offers all that it has.
    pub fn set_model(&mut self, model: Model) {
        self.cpu.mmu.set_linear_bits(model.linear_address_bits());
        self.cpu.model = model;
    }

    /// Makes it compute as on a host whose vector unit has nothing beyond SSE2: with the same results,
    /// more slowly. For comparisons.
    pub fn use_portable_vectors(&mut self) {
        self.come_back();
        self.lowering.use_portable_vectors();
        self.cache.flush(&mut self.cpu.mmu);
        self.cpu.forget_jumps();
    }

    /// The architectural state between two instructions.
    pub fn state(&mut self) -> &CpuState {
        self.come_back();
        &self.cpu.state
    }

    /// Replaces the architectural state. TLBs are emptied, a started device access is forgotten.
    pub fn set_state(&mut self, state: &CpuState) {
        self.come_back();
        self.cpu.state.clone_from(state);
        self.cpu.state.gpr.clear_hidden();
        self.cpu.apic.restore_base(state.msr.apic_base);
        self.cpu.follow_apic_base();
        self.cpu.mmu.flush_all();
        self.cpu.mmu.adopt_pointers(&mut self.cpu.state);
        self.cpu.mmu.watch_data(&state.debug);
        self.cpu.mmu.devices.retire();
        (self.device, self.written, self.reset) = (DeviceRead::None, 0, false);
    }

    /// The last exceptions that were delivered.
    pub fn fault_log(&self) -> &FaultLog {
        &self.log
    }

    /// The local APIC.
    pub fn apic(&self) -> &LocalApic {
        &self.cpu.apic
    }

    /// Instructions retired since the vCPU was made.
    pub fn retired(&self) -> u64 {
        self.cpu.retired
    }

    /// What the slots hold first that were translated behind the first `from`, among it the addresses of
    /// all handlers there. For measuring what tests reach.
    #[doc(hidden)]
    pub fn translated_words(&self, from: usize) -> impl Iterator<Item = usize> {
        self.cache.first_words(from)
    }

    /// The host has written guest RAM behind the vCPU's back: `length` bytes at guest-physical
    /// `address`. Code that was translated from them is forgotten; other vCPUs are told, too.
    pub fn memory_written(&mut self, address: u64, length: u64) {
        self.come_back();
        for (start, length) in pages(address, length) {
            self.invalidate(start & !0xfff, chunks(start, length));
            self.cpu.mmu.tell_written(start, length);
        }
    }

    /// Executes until something needs the host, at most `budget` instructions and the rest of a
    /// block.
    #[inline]
    pub fn run(&mut self, budget: u64) -> Exit {
        self.cpu.mmu.enter();
        if self.resumes(budget) { self.run_on(|exit| exit) } else { self.run_for(budget, false) }
    }

    /// Executes one instruction, or delivers one event.
    pub fn step(&mut self) -> Exit {
        self.cpu.mmu.enter();
        self.run_for(1, true)
    }

    /// Runs after whatever the host has done since the last time.
    fn run_anew(&mut self, budget: u64, step: bool, inside: &mut Option<Inside<'_>>) -> Exit {
        if let DeviceRead::Asked(access) = self.device {
            self.answer(access.all_ones());
        }
        self.come_back();
        let cpu = &mut *self.cpu;
        cpu.mmu.follow_others();
        cpu.remaining = i64::try_from(budget).unwrap_or(i64::MAX);
        self.budget_end = cpu.retired.wrapping_add(budget);
        cpu.adopt_status();
        // Asking the clock costs more than the rest of a short run.
        if cpu.apic.next_timer_ns().is_some() {
            let now_ns = cpu.now_ns();
            cpu.apic.advance(now_ns);
        }
        self.run_loop(step, false, inside)
    }

    /// Leaves the state as hosts find it.
    #[inline]
    fn finish(&mut self, exit: Exit) -> Exit {
        if !self.suspended {
            self.settle();
        }
        self.cpu.mmu.leave();
        exit
    }

    /// Brings state and counts up to date from what handlers keep in registers.
    #[inline(never)]
    fn settle(&mut self) {
        let cpu = &mut *self.cpu;
        cpu.retired = cpu.retired.wrapping_add_signed(cpu.granted - cpu.frame.budget);
        cpu.remaining = cpu.remaining.saturating_add(cpu.frame.budget);
        (cpu.granted, cpu.frame.budget) = (0, 0);
        if cpu.kind != Kind::KNOWN {
            cpu.frame.src = cpu.kind.word(cpu.frame.res, cpu.frame.src);
            cpu.kind = Kind::KNOWN;
        }
        cpu.commit_status();
        cpu.state.gpr.clear_hidden();
    }

    /// Executes, with `step` one instruction, which with `stepped` has been executed already.
    fn run_loop(&mut self, step: bool, mut stepped: bool, inside: &mut Option<Inside<'_>>) -> Exit {
        loop {
            self.settle();
            if let Some(inside) = inside
                && inside.poll()
            {
                inside.pause();
            }
            if self.device == DeviceRead::None {
                if let Some(exit) = self.attend() {
                    return exit;
                }
                if stepped || self.cpu.remaining <= 0 {
                    return Exit::Budget;
                }
                if self.cpu.kick.take() {
                    return Exit::Kicked;
                }
                match self.events() {
                    Ok(events::Outcome::Nothing) => {}
                    Ok(events::Outcome::Delivered) => {
                        // Or deliveries that lead to each other would have no end.
                        self.cpu.remaining -= 1;
                        stepped = step;
                        continue;
                    }
                    Ok(events::Outcome::Exit(exit)) => return exit,
                    Err(Shutdown) => return Exit::TripleFault,
                }
            }
            stepped = step;
            let single = step || self.must_step();
            if let Err(exit) = self.execute(single) {
                return exit;
            }
        }
    }

    /// Executes from `state.rip` until events are to be looked at again; with `single`, one
    /// instruction.
    fn execute(&mut self, single: bool) -> Result<(), Exit> {
        match self.begin(single) {
            Ok(op) => self.execute_from(op, single),
            Err(error) => self.abort(Leave::access(error, SegmentRegister::Cs)),
        }
    }

    /// Gets ready to execute from `state.rip`, and finds the op to begin with.
    fn begin(&mut self, single: bool) -> Result<*const Op, AccessError> {
        self.trapping = self.cpu.state.rflags.contains(RFlags::TRAP_FLAG);
        // An instruction that was not trapped may have left it.
        self.cpu.trap_suppressed = false;
        self.end_shadow();
        self.cpu.begin();
        self.cpu.enter_mode(single);
        self.follow_changes();
        self.first(single)
    }

    /// Executes from `op` until events are to be looked at.
    fn execute_from(&mut self, op: *const Op, single: bool) -> Result<(), Exit> {
        let host = host_float::enter(&self.cpu);
        self.cpu.frame.op = op;
        self.cpu.dispatch();
        let result = self.execute_on(single);
        host_float::leave(&mut self.cpu, host);
        result
    }

    /// Handlers have left: executes on until events are to be looked at.
    fn execute_on(&mut self, single: bool) -> Result<(), Exit> {
        loop {
            match self.follow(single)? {
                Next::Block(op) => self.cpu.frame.op = op,
                Next::Events => return Ok(()),
            }
            self.cpu.dispatch();
        }
    }

    /// STI or a load of SS holds back nothing behind the instruction that begins now.
    fn end_shadow(&mut self) {
        let shadow = &mut self.cpu.state.shadow;
        let ended = core::mem::replace(shadow, Shadow { nmi: shadow.nmi, ..Shadow::default() });
        self.held_back = (self.cpu.retired_now(), ended);
    }

    /// The instruction at hand has done nothing, and is to be begun anew.
    fn restore_shadow(&mut self) {
        let (retired, shadow) = self.held_back;
        if retired == self.cpu.retired_now() {
            self.cpu.state.shadow = shadow;
        }
    }

    /// Acts on the reason why handlers left.
    fn follow(&mut self, single: bool) -> Result<Next, Exit> {
        let op = self.cpu.frame.op;
        match self.cpu.leave {
            Leave::LinkTaken => return self.link(op, 1, 0),
            Leave::LinkCall => return self.link(op, 2, 0),
            Leave::LinkNotTaken => return self.link(op, 2, 1),
            Leave::Jump { target } => {
                let rip = self.cpu.state.wrap_rip(target);
                self.cpu.state.rip = rip;
                if single || self.cpu.mmu.attention || self.cpu.frame.budget <= 0 {
                    let branched = !core::mem::take(&mut self.cpu.goes_on);
                    self.retire(single, branched);
                } else if let Ok(Found { op, .. }) = self.find(false) {
                    self.cpu.remember_jump(rip, op);
                    return Ok(Next::Block(op));
                }
            }
            Leave::Slice => {
                self.cpu.state.rip = self.cpu.state.wrap_rip(self.cache.entry_rip(op));
                self.retire(single, false);
            }
            Leave::Attention => {
                if !single && let Some(exit) = self.suspend_after_write(op) {
                    return Err(exit);
                }
                self.rewind(op);
                self.retire(single, false);
            }
            Leave::Output(output) => {
                if !single && !self.cpu.mmu.attention {
                    self.suspend(output.index);
                    return Err(output.exit());
                }
                if let Exit::Write(access, data) = output.exit() {
                    self.cpu.mmu.devices.write(access, data);
                    self.cpu.note_port(access.address as u16, access.size.into());
                }
                self.cpu.mmu.attention = true;
                self.rewind(op);
                self.retire(single, false);
            }
            Leave::Again => {
                self.rewind(op);
                // The answers of its devices are used up.
                self.device = DeviceRead::None;
                self.trap_after(false);
            }
            Leave::Retired => {
                self.retire(single, single && self.cpu.has_branched());
                if !single && self.cpu.undisturbed() {
                    return Ok(self.proceed());
                }
            }
            Leave::Input(access) => {
                if !single && let Some(exit) = self.suspend_before_read(op, access) {
                    return Err(exit);
                }
                self.rewind(op);
                self.abort(Leave::Device(access))?;
            }
            leave @ (Leave::Exception(_)
            | Leave::Device(_)
            | Leave::Exclusive
            | Leave::FloatingPointError) => {
                self.rewind(op);
                self.abort(leave)?;
                let delivered = matches!(leave, Leave::Exception(_));
                if delivered && !single && self.cpu.undisturbed() {
                    self.cpu.adopt_status();
                    return Ok(self.proceed());
                }
            }
        }
        Ok(Next::Events)
    }

    /// Goes on at `state.rip` in what may be another mode, with another slice if one is due: a way
    /// round the loop for system calls, faults and their like, if the vCPU is undisturbed.
    fn proceed(&mut self) -> Next {
        if self.cpu.frame.budget <= 0 {
            match self.cpu.next_slice(self.cpu.frame.budget) {
                Some(grant) => self.cpu.frame.budget += grant,
                None => return Next::Events,
            }
        }
        self.cpu.enter_mode(false);
        self.follow_changes();
        // A fault of the fetch is raised by the loop.
        let Ok(op) = self.first(false) else { return Next::Events };
        self.end_shadow();
        self.cpu.begin();
        Next::Block(op)
    }

    /// The first op of the block at `state.rip`, remembered unless it is a `single` instruction.
    fn first(&mut self, single: bool) -> Result<*const Op, AccessError> {
        if single {
            return Ok(self.find(true)?.op);
        }
        let rip = self.cpu.state.rip;
        if let Some(first) = self.cpu.remembered_jump(rip) {
            return Ok(first);
        }
        let first = self.find(false)?.op;
        self.cpu.remember_jump(rip, first);
        Ok(first)
    }

    /// Goes back to before the instruction of `op`: RIP, flags and count.
    fn rewind(&mut self, op: *const Op) {
        let (rip, origin) = self.cache.origin(op);
        self.cpu.state.rip = self.cpu.state.wrap_rip(rip);
        self.cpu.frame.budget -= i64::from(origin.index);
        if origin.kind != Origin::DYNAMIC {
            self.cpu.kind = Kind(origin.kind);
        }
    }

    /// The instruction is complete. Whether it has `branched` matters for a `single` one.
    fn retire(&mut self, single: bool, branched: bool) {
        self.device = DeviceRead::None;
        if single {
            self.trap_after(branched);
        }
    }

    /// The instruction does not complete: its exception is delivered, or a device is asked.
    fn abort(&mut self, leave: Leave) -> Result<(), Exit> {
        self.settle();
        self.cpu.undo_begin();
        // An instruction that does not complete has hit no data breakpoint.
        let _ = self.cpu.mmu.take_data_breakpoints();
        match leave {
            Leave::Device(access) => {
                self.cpu.mmu.devices.restart();
                self.device = DeviceRead::Asked(access);
                self.read_device(access)
            }
            Leave::Exception(exception) => {
                self.cpu.mmu.devices.retire();
                self.device = DeviceRead::None;
                self.cpu.remaining -= 1;
                self.raise(exception).map_err(|Shutdown| Exit::TripleFault)
            }
            Leave::Exclusive => {
                self.restore_shadow();
                self.cpu.mmu.devices.restart();
                Err(Exit::Exclusive)
            }
            Leave::FloatingPointError => {
                self.cpu.mmu.devices.retire();
                self.device = DeviceRead::None;
                self.cpu.state.activity = Activity::Halted;
                let before = core::mem::replace(&mut self.cpu.error_line, ErrorLine::Asserted);
                Err(Exit::FloatingPointError { new: before == ErrorLine::Low })
            }
            _ => Ok(()),
        }
    }

    /// Finds or translates the block at a stub's target, and links the branch to it.
    fn link(&mut self, stub: *const Op, links: usize, arm: usize) -> Result<Next, Exit> {
        self.cpu.state.rip = self.cpu.state.wrap_rip(self.cache.entry_rip(stub));
        let flushes = self.cache.flushes;
        let Ok(found) = self.find(false) else { return Ok(Next::Events) };
        // A flush on the way has freed the branch.
        if self.cache.flushes == flushes {
            self.cache.link(stub, links, arm, found);
        }
        Ok(Next::Block(found.op))
    }

    /// The block at `state.rip`.
    fn find(&mut self, single: bool) -> Result<Found, AccessError> {
        let cpu = &mut *self.cpu;
        let state = &cpu.state;
        let long = state.mode_64bit();
        let (mode, cs_base, cs_limit) = translated_for(state, single);
        if !long && state.rip > u64::from(cs_limit) {
            return Err(AccessError::Exception(Exception::GP0));
        }
        let linear = cs_base.wrapping_add(state.rip);
        let linear = if long { linear } else { linear & 0xffff_ffff };
        let page = cpu.mmu.fetch(state, linear)?;
        let key = Key {
            physical: page.physical & !0xfff | linear & 0xfff,
            rip: state.rip,
            cs_base,
            cs_limit,
            mode,
        };
        let second = || cpu.mmu.fetch(state, key.next_page()).map(|page| page.physical & !0xfff);
        if let Some(found) = self.cache.find(&key, second)? {
            return Ok(found);
        }
        let flushes = self.cache.flushes;
        let found = self.lowering.translate(key, page, state, &mut cpu.mmu, &mut self.cache)?;
        if self.cache.flushes != flushes {
            cpu.forget_jumps();
        }
        Ok(found)
    }

    /// Forgets the blocks with bytes in these chunks of the page at `page`.
    fn invalidate(&mut self, page: u64, chunks: u64) {
        let Self { cpu, cache, .. } = self;
        let Cpu { mmu, jump_caches, .. } = &mut **cpu;
        cache.invalidate(page, chunks, mmu, |rip, op| {
            for jumps in &mut *jump_caches {
                jumps.forget(rip, op);
            }
        });
    }

    /// Whether the next instruction has to be looked at by itself.
    fn must_step(&self) -> bool {
        let shadow = self.cpu.state.shadow;
        self.device != DeviceRead::None || shadow.sti || shadow.mov_ss || self.cpu.is_watched()
    }

    /// Empties the jump caches if a TLB was emptied, or if blocks are now translated differently.
    fn follow_changes(&mut self) {
        let mode = translated_for(&self.cpu.state, false);
        if self.followed_flushes != self.cpu.mmu.flushes || self.followed_mode != mode {
            self.followed_flushes = self.cpu.mmu.flushes;
            self.followed_mode = mode;
            self.cpu.forget_jumps();
        }
    }
}

/// The mode that blocks are translated for, and base and limit of the code segment, both 0 in 64-bit
/// mode.
fn translated_for(state: &CpuState, step: bool) -> (Mode, u64, u32) {
    /// The six exception masks of MXCSR.
    const MASKS: u32 = 0x1f80;
    let (cr0, cr4) = (state.control.cr0, state.control.cr4);
    let emulated = cr0.contains(Cr0Flags::EMULATE_COPROCESSOR);
    let sse = if emulated || !cr4.contains(Cr4Flags::OSFXSR) {
        Vectors::Undefined
    } else if cr0.contains(Cr0Flags::TASK_SWITCHED) {
        Vectors::NotAvailable
    } else {
        Vectors::Enabled
    };
    const AVX_STATE: XCr0Flags = XCr0Flags::SSE.union(XCr0Flags::AVX);
    let managed = cr4.contains(Cr4Flags::OSXSAVE) && state.control.xcr0.contains(AVX_STATE);
    let vex = state.protected() && !state.rflags.contains(RFlags::VIRTUAL_8086_MODE);
    let avx = if !managed || !vex {
        Vectors::Undefined
    } else if cr0.contains(Cr0Flags::TASK_SWITCHED) {
        Vectors::NotAvailable
    } else {
        Vectors::Enabled
    };
    let simd_masked = state.fpu.mxcsr & MASKS == MASKS;
    let linear_bits = linear_address_bits(cr4) as u8;
    let bitness = state.bitness() as u8;
    let mode = Mode { bitness, step, linear_bits, vex, sse, avx, simd_masked };
    let cs = &state.segments[SegmentRegister::Cs];
    if state.mode_64bit() { (mode, 0, 0) } else { (mode, cs.base, cs.limit) }
}

//! Execution: ops, how they are dispatched, and what each instruction does.
//!
//! One file per instruction group. A group has a table of rows, one per mnemonic, that name how the
//! instruction is emitted as ops, and the handlers or functions that those ops run. Adding an
//! instruction is one row and one function.
//!
//! This floor knows nothing of blocks: a handler that needs a successor, or has written to code,
//! leaves with a reason ([`Leave`]), and `vcpu` asks `translate`.

pub(crate) mod address;
pub(crate) mod control_register;
pub(crate) mod dispatch;
pub(crate) mod emit;
pub(crate) mod flags;
pub(crate) mod forward;
pub(crate) mod fused;
pub(crate) mod host_vector;
pub(crate) mod jump_cache;
pub mod msr;
pub(crate) mod op;
pub(crate) mod operand;
pub(crate) mod table;

mod arithmetic;
mod bit_byte;
mod bit_count;
mod bit_manipulation;
mod call_out;
mod checksum;
pub(crate) mod control_transfer;
mod data_transfer;
mod decimal;
mod exchange;
mod extended_state;
mod far_transfer;
mod flag_control;
mod fpu_state;
mod io;
mod locked;
mod logical;
mod materialize;
mod miscellaneous;
mod mmx;
mod rounding;
mod segment;
mod shift_rotate;
pub(crate) mod sse;
mod string;
mod system;
mod translation;
mod vex;
pub(crate) mod x87;

use alloc::boxed::Box;
use alloc::sync::Arc;

use self::address::SegmentWindow;
use self::dispatch::Frame;
use self::flags::Kind;
use self::jump_cache::{JumpCache, JumpEntry};
use self::op::{Detail, Op};
use self::x87::ErrorLine;
use crate::apic::{Effect, LocalApic, Mode};
use crate::cpuid::Model;
use crate::exclusive::Watch;
use crate::memory::{GuestMemory, Width};
use crate::paging::{AccessError, Mmu, TlbEntry};
use crate::state::{Activity, CpuState, Exception, RFlags, SegmentRegister};
use crate::{Clock, Kick};

/// PAUSE instructions since the host was last told of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pauses {
    count: u32,
    /// How many the host wants to be told of; 0 is none.
    pub limit: u32,
}

impl Pauses {
    /// Whether the host is to be told.
    fn add_one(&mut self) -> bool {
        self.count += u32::from(self.limit != 0);
        self.is_due()
    }

    fn is_due(self) -> bool {
        self.limit != 0 && self.count >= self.limit
    }

    /// Whether the host is to be told; begins anew then.
    pub(crate) fn take_due(&mut self) -> bool {
        let due = self.is_due();
        if due {
            self.count = 0;
        }
        due
    }
}

/// A vCPU as the interpreter runs it.
#[repr(C)]
pub(crate) struct Cpu {
    /// Architectural state. While handlers run, RIP and the status flags in it are stale: `frame`
    /// and `kind` tell them. First, because ops name general registers by offset.
    pub state: CpuState,
    /// An operand of a vector instruction on its way from memory: its lower half first, its upper
    /// half last, as far apart as those of a YMM register. Here, because ops name vector registers by
    /// their distance from XMM0.
    pub scratch_vectors: [u128; sse::vector::UPPER as usize + 1],
    /// The active TLB's entries, while handlers run.
    pub tlb: *mut TlbEntry,
    /// The active jump cache, while handlers run.
    pub jumps: *const JumpEntry,
    /// What was tested by the op before a SETcc or CMOVcc.
    pub condition: bool,
    /// How to read the status flags at the start of a block.
    pub kind: Kind,
    /// Where the handlers left, or are to start.
    pub frame: Frame,
    /// Why they left.
    pub leave: Leave,
    /// The segments as the current mode sees them.
    pub segment_windows: [SegmentWindow; 8],
    /// They are those of 64-bit mode, where only FS and GS differ from one another.
    pub flat_windows: bool,
    /// Instructions of this run that are not yet granted to a slice.
    pub remaining: i64,
    /// Instructions granted to slices since `retired` was last brought up to date.
    pub granted: i64,
    /// Instructions retired before those.
    pub retired: u64,
    pub mmu: Box<Mmu>,
    /// One jump cache for each set of access rights.
    pub jump_caches: [JumpCache; 3],
    pub apic: LocalApic,
    pub apic_id: u32,
    /// What CPUID tells.
    pub model: Model,
    pub clock: Arc<dyn Clock>,
    pub kick: Kick,
    /// Whether others want this vCPU to stop, if there are others.
    pub gate: Option<Watch>,
    /// What the local APIC asked for when an instruction wrote one of its registers.
    pub apic_effect: Option<Effect>,
    /// PAUSE instructions, which a host may want to know of.
    pub pauses: Pauses,
    /// The local APIC's timer may expire earlier than the host knows.
    pub timer_changed: bool,
    /// The instruction before which so many were retired began with RF set, which it clears. A
    /// restart of it finds RF as it was.
    pub resuming_at: u64,
    /// The host waits for the vCPU to be interruptible.
    pub window_wanted: bool,
    /// The instruction has cleared TF by itself: no trap follows it.
    pub trap_suppressed: bool,
    /// The single instruction that has left is no branch, or one that was not taken.
    pub goes_on: bool,
    /// What the host knows of x87 exceptions that are no #MF.
    pub error_line: ErrorLine,
    /// Random numbers for RDRAND and RDSEED: the state of a SplitMix64 generator.
    pub random: u64,
}

// SAFETY: `tlb` and `jumps` lead into what the same value owns, or to a constant; ops are in the code
// cache of the `Vcpu` that owns both, and go with it.
unsafe impl Send for Cpu {}

/// Why a handler left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leave {
    /// The slice is used up; the frame's op starts a block.
    Slice,
    /// The successor of a taken branch (of a jump, a call) is wanted; the op is the stub.
    LinkTaken,
    /// The target of a direct CALL is wanted; the op is the stub.
    LinkCall,
    /// The successor of a branch that was not taken is wanted; the op is the stub.
    LinkNotTaken,
    /// An indirect or page-crossing jump; the block that it ends is complete.
    Jump { target: u64 },
    /// The frame's op starts the next instruction, and the MMU wants attention first.
    Attention,
    /// OUT is complete but for the write itself; the frame's op starts the next instruction.
    Output(Output),
    /// A call-out has ended its block; the state is complete.
    Retired,
    /// The instruction of the frame's op raised an exception.
    Exception(Exception),
    /// The instruction of the frame's op needs data from a device.
    Device(crate::Access),
    /// The same, and the op, executed again, asks for nothing but these data.
    Input(crate::Access),
    /// The instruction of the frame's op is to be executed while no other vCPU executes.
    Exclusive,
    /// The instruction of the frame's op waits with FERR# asserted.
    FloatingPointError,
    /// A string instruction has made progress and is to be executed again: events come first.
    Again,
}

/// The write of an OUT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub port: u16,
    pub size: u8,
    /// How many instructions of its block precede the next one.
    pub index: u8,
    pub data: u32,
}

impl Output {
    /// What the host is told.
    #[inline(always)]
    pub fn exit(self) -> crate::Exit {
        let Self { port, size, data, .. } = self;
        let access = crate::Access { space: crate::Space::Port, address: port.into(), size };
        crate::Exit::Write(access, data.into())
    }
}

impl Leave {
    /// An access through `segment` failed.
    pub fn access(error: AccessError, segment: SegmentRegister) -> Self {
        match error {
            AccessError::NonCanonical if segment == SegmentRegister::Ss => {
                Self::Exception(Exception::SS0)
            }
            AccessError::NonCanonical => Self::Exception(Exception::GP0),
            AccessError::Exception(exception) => Self::Exception(exception),
            AccessError::Device(access) => Self::Device(access),
            AccessError::Split => Self::Exclusive,
        }
    }
}

impl From<Exception> for Leave {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

impl Cpu {
    /// A vCPU after reset.
    pub fn new(memory: Arc<dyn GuestMemory>, clock: Arc<dyn Clock>, apic_id: u32) -> Box<Self> {
        let mut cpu = Box::new(Self {
            state: CpuState::reset(apic_id),
            scratch_vectors: [0; sse::vector::UPPER as usize + 1],
            tlb: core::ptr::null_mut(),
            jumps: core::ptr::null(),
            condition: false,
            kind: Kind::KNOWN,
            frame: Frame { op: core::ptr::null(), res: 0, src: 0, budget: 0 },
            leave: Leave::Retired,
            segment_windows: [SegmentWindow::default(); 8],
            flat_windows: false,
            remaining: 0,
            granted: 0,
            retired: 0,
            mmu: Mmu::new(memory),
            jump_caches: core::array::from_fn(|_| JumpCache::new()),
            apic: LocalApic::new(apic_id),
            apic_id,
            model: Model::default(),
            clock,
            kick: Kick::default(),
            gate: None,
            apic_effect: None,
            pauses: Pauses::default(),
            timer_changed: false,
            resuming_at: u64::MAX,
            window_wanted: false,
            trap_suppressed: false,
            goes_on: false,
            error_line: ErrorLine::Low,
            random: 0x9e37_79b9_7f4a_7c15 ^ u64::from(apic_id),
        });
        cpu.follow_apic_base();
        cpu
    }

    /// The register at byte `offset`, zero-extended from its width.
    #[inline(always)]
    pub fn get<W: Width>(&self, offset: u8) -> u64 {
        let base = core::ptr::from_ref(&self.state).cast::<u8>();
        // SAFETY: the state is larger than any offset of eight bits and eight bytes more.
        unsafe { base.add(usize::from(offset)).cast::<W>().read_unaligned() }.extend()
    }

    /// Writes the low part of `value` to the register at byte `offset`. A 32-bit write clears the
    /// upper half, shorter ones leave the rest as it is.
    #[inline(always)]
    pub fn set<W: Width>(&mut self, offset: u8, value: u64) {
        debug_assert!(offset < 128 || offset == crate::state::Gpr::SCRATCH_OFFSET);
        let base = core::ptr::from_mut(&mut self.state).cast::<u8>();
        // SAFETY: as in `get`; the emitter names only general registers and the scratch word.
        unsafe {
            let register = base.add(usize::from(offset));
            if W::BYTES == 4 {
                register.cast::<u64>().write_unaligned(value as u32 as u64);
            } else {
                register.cast::<W>().write_unaligned(W::truncate(value));
            }
        }
    }

    /// The status flags that the frame holds, in RFLAGS's places. Only where they are materialised.
    pub fn status(&self) -> u64 {
        self.frame.src & flags::STATUS
    }

    /// Replaces the status flags, where they are materialised.
    pub fn set_status(&mut self, flags: u64) {
        self.frame.src = flags & flags::STATUS;
    }

    /// Brings the status flags in `state` up to date from materialised ones.
    pub fn commit_status(&mut self) {
        let others = self.state.rflags.bits() & !flags::STATUS;
        self.state.rflags = RFlags::from_bits_retain(others | self.status());
    }

    /// Brings the materialised flags up to date from `state`.
    pub fn adopt_status(&mut self) {
        self.frame.src = self.state.rflags.bits() & flags::STATUS;
        self.frame.res = 0;
        self.kind = Kind::KNOWN;
    }

    /// Remembers where an indirect jump to `rip` leads in the active mode.
    pub fn remember_jump(&mut self, rip: u64, op: *const Op) {
        self.jump_caches[self.mmu.active_index()].remember(rip, op);
    }

    /// Where a remembered jump to `rip` leads in the mode that was entered last.
    pub fn remembered_jump(&self, rip: u64) -> Option<*const Op> {
        // SAFETY: `enter_mode` has pointed `jumps` at the entries of a jump cache.
        let entry = unsafe { &*self.jumps.add(JumpEntry::slot(rip)) };
        (entry.rip == rip).then_some(entry.op)
    }

    /// Forgets all jumps: a mapping has changed, or blocks were freed.
    pub fn forget_jumps(&mut self) {
        self.jump_caches.iter_mut().for_each(JumpCache::clear);
    }

    /// Forgets the jumps into the page of any size that contains `linear`: its mapping has changed.
    pub fn forget_jumps_near(&mut self, linear: u64) {
        // Elsewhere RIP is not a linear address.
        let everywhere = !self.state.mode_64bit();
        for jumps in &mut self.jump_caches {
            if everywhere || jumps.may_lead_near(linear) {
                jumps.clear();
            }
        }
    }

    /// The local APIC's page is where IA32_APIC_BASE says, in xAPIC mode.
    pub fn follow_apic_base(&mut self) {
        let page = self.state.msr.apic_base & !0xfff;
        let mapped = self.apic.mode() == Mode::XApic;
        self.mmu.place_local_apic(mapped.then_some(page));
    }

    /// The clock, as the host or the count of instructions tells it.
    #[inline(never)]
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns(self.retired_now())
    }

    /// The instructions retired, those of the slice at hand included.
    #[inline]
    pub fn retired_now(&self) -> u64 {
        self.retired.wrapping_add_signed(self.granted - self.frame.budget)
    }

    /// An instruction begins: it clears RF, unless it is restarted.
    #[inline]
    pub fn begin(&mut self) {
        self.resuming_at = u64::MAX;
        if self.state.rflags.contains(RFlags::RESUME_FLAG) {
            self.resuming_at = self.retired_now();
            self.state.rflags.remove(RFlags::RESUME_FLAG);
        }
    }

    /// The instruction at hand is to be restarted, or raises an exception: RF is as it found it.
    pub fn undo_begin(&mut self) {
        self.state.rflags.set(RFlags::RESUME_FLAG, self.resuming_at == self.retired_now());
    }

    /// Whether nothing but the next instruction is due behind one that may have changed anything.
    /// What STI or a load of SS holds back for an instruction is not there then.
    #[inline]
    pub fn undisturbed(&self) -> bool {
        let state = &self.state;
        let quiet = !self.mmu.attention && !self.timer_changed && self.apic_effect.is_none();
        quiet
            && state.activity == Activity::Active
            // A fault of a task switch asks for attention.
            && state.pending.debug.is_none()
            && !state.pending.nmi
            && state.pending.interrupt.is_none()
            && !self.is_watched()
            // With VIF a virtual interrupt is due, perhaps; nothing but a transfer can make it so.
            && !state.rflags.contains(RFlags::VIRTUAL_INTERRUPT_PENDING)
            && (!state.rflags.contains(RFlags::INTERRUPT_FLAG)
                || !self.window_wanted && self.apic.pending().is_none())
            // Last, because it is a full fence among several vCPUs.
            && !self.mmu.may_be_stale()
    }

    /// Whether the guest traps single instructions or has breakpoints. RF alone, which every return
    /// from a fault sets, holds nothing back where there are none.
    pub fn is_watched(&self) -> bool {
        let state = &self.state;
        state.rflags.contains(RFlags::TRAP_FLAG) || state.debug.dr7 & 0xff != 0
    }

    /// Where to go on behind a transfer from 64-bit mode to 64-bit mode that has retired. Only CPL,
    /// RFLAGS and the segments' selectors have changed, so no more than that is followed.
    #[inline(never)]
    fn cross(&mut self) -> Option<*const Op> {
        let retired = matches!(self.leave, Leave::Retired) && self.frame.budget > 0;
        if !retired || !self.undisturbed() || !self.state.mode_64bit() {
            return None;
        }
        self.enter_mode(false);
        let op = self.remembered_jump(self.state.rip)?;
        self.begin();
        Some(op)
    }

    /// Points the fast paths at the TLB, jump cache and segments of the current mode. With `single`
    /// no jump is followed.
    pub fn enter_mode(&mut self, single: bool) {
        self.mmu.update_mode(&self.state);
        self.tlb = self.mmu.active_entries();
        self.jumps = match single {
            true => JumpCache::NOWHERE.as_ptr(),
            false => self.jump_caches[self.mmu.active_index()].as_ptr(),
        };
        let long = self.state.mode_64bit();
        if long && self.flat_windows {
            // No other has a base there, and none has limits.
            for register in [SegmentRegister::Fs, SegmentRegister::Gs] {
                let base = self.state.segments[register].base;
                self.segment_windows[register as usize].base = base;
            }
        } else {
            self.open_windows(long);
        }
    }

    #[cold]
    fn open_windows(&mut self, long: bool) {
        self.flat_windows = long;
        for register in SegmentRegister::ALL {
            self.segment_windows[register as usize] = self.segment_window(register, long);
        }
    }
}

/// The segment register with this number; numbers come from the emitter.
pub(crate) fn segment_register(number: u8) -> SegmentRegister {
    SegmentRegister::ALL[usize::from(number & 7)]
}

/// An instruction that does not exist.
pub(crate) fn undefined(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::UD.into())
}

/// An instruction of more than 15 bytes (SDM, "Instruction Format").
pub(crate) fn too_long(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::GP0.into())
}

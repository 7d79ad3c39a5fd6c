//! Which instructions are a run: the same steps of a cipher on one state or several, in whatever order
//! the states are interleaved, with the loads of keys between them.
//!
//! Invariant: no key of a run is one of its states, and none of its registers is an address's, so what
//! an instruction of a run reads does not depend on when the states are written.

use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind, Register};

use super::super::super::emit::Mode;
use super::super::super::fused::{Ahead, is_encodable};

/// States that a run may have.
pub(super) const MOST_STATES: usize = 8;
/// Steps that each state may take: the keys of AES-256, and one.
const MOST_STEPS: usize = 16;
/// Registers that a run may load keys into.
const MOST_LOADS: usize = 8;
/// Bytes of a key.
pub(super) const KEY: i64 = 16;
/// The most bytes from the start of the first key in memory to the end of the last.
const MOST_BYTES: i64 = 1024;

/// What a step does with a state and a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The key is added, which is how a cipher starts.
    Add,
    Encrypt,
    EncryptLast,
    Decrypt,
    DecryptLast,
}

/// Where a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Register(u8),
    /// At this displacement.
    Memory(i64),
}

/// The registers and the kind of address that all keys in memory share.
type Place = (Register, Register);

/// What an instruction of a run does.
enum Part {
    Load { register: u8, from: i64 },
    Step { kind: Kind, state: u8, key: Key },
}

/// A run that begins with the instruction at hand.
pub(super) struct Run {
    /// How many instructions it has.
    pub length: usize,
    /// Whether it is encoded with VEX, so that what is written has its upper half cleared.
    pub vex: bool,
    /// Whether an address that is no multiple of 16 raises #GP(0).
    pub aligned: bool,
    /// The first instruction with a key in memory.
    pub accesses: Option<usize>,
    states: [u8; MOST_STATES],
    /// How many steps each state has taken.
    taken: [usize; MOST_STATES],
    state_count: usize,
    steps: [(Kind, Key); MOST_STEPS],
    step_count: usize,
    /// Registers that keys are loaded into, and the displacement of the last one for each.
    loads: [(u8, i64); MOST_LOADS],
    load_count: usize,
    /// The registers with keys, a bit for each.
    key_registers: u16,
    place: Option<Place>,
    /// Displacements of the first and the last key in memory.
    extent: [i64; 2],
}

impl Run {
    /// The longest run that `has_size` takes the number of states of.
    pub fn find(ahead: Ahead, mode: Mode, has_size: impl Fn(usize) -> bool) -> Option<Self> {
        let first = ahead.get(0)?;
        let (mut run, mut longest) = (Self::new(first), 0);
        while run.take(ahead, mode) {
            if run.is_even() && has_size(run.state_count) {
                longest = run.length;
            }
        }
        if longest < 2 {
            return None;
        }
        let mut run = Self::new(first);
        while run.length < longest && run.take(ahead, mode) {}
        Some(run)
    }

    fn new(first: &Instruction) -> Self {
        Self {
            length: 0,
            vex: first.code().encoding() == EncodingKind::VEX,
            aligned: false,
            accesses: None,
            states: [0; MOST_STATES],
            taken: [0; MOST_STATES],
            state_count: 0,
            steps: [(Kind::Add, Key::Register(0)); MOST_STEPS],
            step_count: 0,
            loads: [(0, 0); MOST_LOADS],
            load_count: 0,
            key_registers: 0,
            place: None,
            extent: [0; 2],
        }
    }

    /// The registers with states.
    pub fn states(&self) -> &[u8] {
        &self.states[..self.state_count]
    }

    /// What each state goes through.
    pub fn steps(&self) -> &[(Kind, Key)] {
        &self.steps[..self.step_count]
    }

    /// The registers that keys are loaded into, with the displacements of what they have in the end.
    pub fn loads(&self) -> &[(u8, i64)] {
        &self.loads[..self.load_count]
    }

    /// The displacement of the first key in memory.
    pub fn lowest(&self) -> i64 {
        self.extent[0]
    }

    /// Bytes from there to the end of the last.
    pub fn bytes(&self) -> i64 {
        self.extent[1] - self.extent[0] + KEY
    }

    /// Whether all states have come to the same step, and that is one of the cipher.
    fn is_even(&self) -> bool {
        let complete = self.taken[..self.state_count].iter().all(|&taken| taken == self.step_count);
        complete && self.steps().last().is_some_and(|&(kind, _)| kind != Kind::Add)
    }

    /// Takes the next instruction; `false` if it is not of this run.
    fn take(&mut self, ahead: Ahead, mode: Mode) -> bool {
        let taken = ahead
            .get(self.length)
            .filter(|instruction| is_encodable(instruction, mode))
            .and_then(|instruction| self.part(instruction))
            .and_then(|part| match part {
                Part::Load { register, from } => self.load(register, from),
                Part::Step { kind, state, key } => self.step(kind, state, key),
            });
        self.length += usize::from(taken.is_some());
        taken.is_some()
    }

    fn part(&mut self, instruction: &Instruction) -> Option<Part> {
        use Mnemonic as M;
        let target = instruction.op0_register();
        if !target.is_xmm() || (instruction.code().encoding() == EncodingKind::VEX) != self.vex {
            return None;
        }
        let register = target.number() as u8;
        let kind = match instruction.mnemonic() {
            M::Movaps | M::Movapd | M::Movdqa | M::Vmovaps | M::Vmovapd | M::Vmovdqa => {
                let from = self.displacement(instruction, 1, true)?;
                return Some(Part::Load { register, from });
            }
            M::Movups | M::Movupd | M::Movdqu | M::Vmovups | M::Vmovupd | M::Vmovdqu => {
                let from = self.displacement(instruction, 1, false)?;
                return Some(Part::Load { register, from });
            }
            M::Pxor | M::Xorps | M::Xorpd | M::Vpxor | M::Vxorps | M::Vxorpd => Kind::Add,
            M::Aesenc | M::Vaesenc => Kind::Encrypt,
            M::Aesenclast | M::Vaesenclast => Kind::EncryptLast,
            M::Aesdec | M::Vaesdec => Kind::Decrypt,
            M::Aesdeclast | M::Vaesdeclast => Kind::DecryptLast,
            _ => return None,
        };
        let last = instruction.op_count() - 1;
        if self.vex && instruction.op1_register() != target {
            return None;
        }
        let key = match instruction.op_kind(last) {
            OpKind::Register => Key::Register(instruction.op_register(last).number() as u8),
            _ => Key::Memory(self.displacement(instruction, last, !self.vex)?),
        };
        Some(Part::Step { kind, state: register, key })
    }

    /// The displacement of operand `position`, which is in memory beside the keys so far.
    fn displacement(
        &mut self,
        instruction: &Instruction,
        position: u32,
        aligned: bool,
    ) -> Option<i64> {
        let place = (instruction.memory_base(), instruction.memory_segment());
        let displacement = instruction.memory_displacement64() as i64;
        if instruction.op_kind(position) != OpKind::Memory
            || place.0 == Register::None
            || instruction.memory_index() != Register::None
            || self.place.is_some_and(|it| it != place)
            || displacement != i64::from(displacement as i32)
        {
            return None;
        }
        let [lowest, highest] = self.extent;
        let extent = match self.place {
            Some(_) => [lowest.min(displacement), highest.max(displacement)],
            None => [displacement; 2],
        };
        // So the alignment of one tells that of all.
        let apart = self.place.map_or(0, |_| displacement - lowest);
        if extent[1] - extent[0] > MOST_BYTES - KEY || apart % KEY != 0 {
            return None;
        }
        (self.extent, self.place) = (extent, Some(place));
        self.aligned |= aligned;
        self.accesses = self.accesses.or(Some(self.length));
        Some(displacement)
    }

    fn load(&mut self, register: u8, from: i64) -> Option<()> {
        if self.states().contains(&register) {
            return None;
        }
        let known = self.loads().iter().position(|load| load.0 == register);
        let place = known.unwrap_or(self.load_count);
        *self.loads.get_mut(place)? = (register, from);
        self.load_count = self.load_count.max(place + 1);
        self.key_registers |= 1 << register;
        Some(())
    }

    fn step(&mut self, kind: Kind, state: u8, key: Key) -> Option<()> {
        let key = match key {
            Key::Register(register) => {
                if register == state || self.states().contains(&register) {
                    return None;
                }
                self.key_registers |= 1 << register;
                let loaded = self.loads().iter().find(|load| load.0 == register);
                loaded.map_or(key, |load| Key::Memory(load.1))
            }
            Key::Memory(_) => key,
        };
        if self.key_registers >> state & 1 != 0 {
            return None;
        }
        let known = self.states().iter().position(|&it| it == state);
        let place = known.unwrap_or(self.state_count);
        let taken = *self.taken.get(place)?;
        if taken < self.step_count {
            if self.steps[taken] != (kind, key) {
                return None;
            }
        } else {
            let follows = match (self.steps().last(), kind) {
                (None, _) => true,
                (Some(_), Kind::Add) => false,
                (Some((Kind::Add, _)), _) => true,
                (Some((Kind::Encrypt, _)), _) => {
                    matches!(kind, Kind::Encrypt | Kind::EncryptLast)
                }
                (Some((Kind::Decrypt, _)), _) => {
                    matches!(kind, Kind::Decrypt | Kind::DecryptLast)
                }
                (Some((Kind::EncryptLast | Kind::DecryptLast, _)), _) => false,
            };
            *self.steps.get_mut(taken).filter(|_| follows)? = (kind, key);
            self.step_count += 1;
        }
        self.states[place] = state;
        self.state_count = self.state_count.max(place + 1);
        self.taken[place] += 1;
        Some(())
    }
}

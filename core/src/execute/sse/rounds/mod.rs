//! Rounds of AES as one op: a run of the same steps on one state or several, of which code does some side
//! by side. The states stay in the host's registers from the first step to the last, so none waits for its
//! way through memory, and those of several states are under way at the same time.
//!
//! What a run is, `run` says. Both encodings are here; without the host's own instructions there are no
//! runs.
//!
//! Invariant: the keys of a run are read behind one look into the TLB, before anything is written. Behind
//! an op with keys in memory stand the plain ops of all its instructions. Where the TLB does not serve all
//! keys at once it goes on there, and so never faults.

mod run;

use self::run::{Key, Kind, MOST_STATES, Run};
use super::super::Cpu;
use super::super::address::{Address, Base};
use super::super::dispatch::{Flow, next};
use super::super::emit::{Emit, Vectors};
use super::super::fused::Ahead;
use super::super::host_vector::HostVector;
use super::super::op::{Handler, Op};
use super::super::table::emit_function;
use super::Operation;
use super::aes::{Aesdec, Aesdeclast, Aesenc, Aesenclast};
use super::integer::Xor;
use super::vector::{Lanes, Load, Unaligned, Vector};

/// A direction of the cipher.
trait Cipher: 'static {
    type Round: Operation;
    type LastRound: Operation;
}

struct Encryption;
struct Decryption;

impl Cipher for Encryption {
    type Round = Aesenc;
    type LastRound = Aesenclast;
}

impl Cipher for Decryption {
    type Round = Aesdec;
    type LastRound = Aesdeclast;
}

/// The slot behind the op. Behind this one, four in a slot, are the places of the keys of all steps,
/// and then those of the keys that registers have in the end, with the registers.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Shape {
    /// The registers with states.
    states: [u8; MOST_STATES],
    /// Steps between the first addition and the last round.
    rounds: u8,
    /// Registers that keys are loaded into.
    loads: u8,
    /// Bytes that the keys in memory span.
    bytes: u16,
}

/// Where keys are: with bit 0 set the upper bits are a distance in memory, else one from the first vector
/// register. Where registers are loaded from, the lowest four bits are the register instead.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Places([i32; 4]);

/// The keys of a run, one after the other.
struct Keys {
    place: *const i32,
    registers: *const u8,
    memory: *const u8,
}

impl Keys {
    /// The next key.
    ///
    /// # Safety
    /// There is one. If it is in memory, the TLB has vouched for it.
    #[inline(always)]
    unsafe fn next<const MEMORY: bool>(&mut self) -> Vector {
        // SAFETY: there is another place, as the caller promises, and what it names can be read.
        unsafe {
            let place = *self.place;
            self.place = self.place.add(1);
            let base = if MEMORY && place & 1 != 0 { self.memory } else { self.registers };
            Unaligned::load(base.wrapping_offset((place >> 1) as isize), 0_u128.vector())
        }
    }

    /// The next register that a key is loaded into, and the key.
    ///
    /// # Safety
    /// As for [`next`](Self::next).
    #[inline(always)]
    unsafe fn next_load(&mut self) -> (u8, Vector) {
        // SAFETY: as above.
        unsafe {
            let place = *self.place;
            self.place = self.place.add(1);
            let key = self.memory.wrapping_offset((place >> 4) as isize);
            ((place & 15) as u8, Unaligned::load(key, 0_u128.vector()))
        }
    }
}

/// Goes on with the plain ops. Apart, so that there is a dispatch for either way.
#[cold]
#[inline(never)]
unsafe extern "C" fn one_by_one(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let plain = unsafe { (*op).c };
    next!(cpu, op.wrapping_add(plain.into()), res, src, budget)
}

/// Writes register `number`; with `CLEARS`, its upper half, too.
#[inline(always)]
fn write<const CLEARS: bool>(cpu: &mut Cpu, number: u8, value: Vector) {
    cpu.set_vector(number, value);
    if CLEARS {
        cpu.set_upper(number, 0_u128.vector());
    }
}

/// The handlers of runs with one number of states: without and with an addition at their start, and a
/// last round at their end.
type Forms = [[Handler; 2]; 2];

/// A handler for each number of states. They are variables of their own, not an array, so that they are
/// in registers whatever the compiler makes of loops.
macro_rules! runs {
    ($($name:ident: $($state:ident = $index:literal),*;)*) => {
        $(
        unsafe extern "C" fn $name<
            C: Cipher, const ADD: bool, const LAST: bool, const MEMORY: bool, const CLEARS: bool
        >(
            cpu: &mut Cpu,
            op: *const Op,
            res: u64,
            src: u64,
            budget: i64,
        ) -> Flow {
            // SAFETY: a shape and places are behind an op of this handler.
            let (shape, place) = unsafe { (&*op.add(1).cast::<Shape>(), op.add(2).cast()) };
            let mut keys = Keys { place, registers: cpu.vectors(), memory: core::ptr::null() };
            if MEMORY {
                // SAFETY: the emitter pairs the handler with an op of this form.
                let linear = unsafe { <Base>::linear::<u128, false>(cpu, op, res, src) };
                // SAFETY: dispatch hands each handler its own op.
                let aligned = linear & u64::from(unsafe { (*op).a }) == 0;
                let hit = cpu.read_hit_of(linear, shape.bytes.into());
                let Some(pointer) = hit.filter(|_| aligned) else {
                    // SAFETY: the handler's own arguments.
                    return unsafe { one_by_one(cpu, op, res, src, budget) };
                };
                keys.memory = pointer;
            }
            $(let mut $state = cpu.vector(shape.states[$index]);)*
            if ADD {
                // SAFETY: the first place is that of the key to add.
                let key = unsafe { keys.next::<MEMORY>() };
                $($state = Xor::apply(&mut 0, $state, key, 0);)*
            }
            for _ in 0..shape.rounds {
                // SAFETY: then there is one for each round.
                let key = unsafe { keys.next::<MEMORY>() };
                $($state = C::Round::apply(&mut 0, $state, key, 0);)*
            }
            if LAST {
                // SAFETY: and one for the last.
                let key = unsafe { keys.next::<MEMORY>() };
                $($state = C::LastRound::apply(&mut 0, $state, key, 0);)*
            }
            $(write::<CLEARS>(cpu, shape.states[$index], $state);)*
            if MEMORY {
                for _ in 0..shape.loads {
                    // SAFETY: behind them, there is one for each load.
                    let (register, key) = unsafe { keys.next_load() };
                    write::<CLEARS>(cpu, register, key);
                }
            }
            // SAFETY: dispatch hands each handler its own op.
            let behind = unsafe { (*op).d };
            next!(cpu, op.wrapping_add(behind.into()), res, src, budget)
        }
        )*

        /// The numbers of states that there are handlers for.
        const SIZES: &[usize] = &[$([$($index),*].len()),*];

        const fn handlers<C: Cipher, const MEMORY: bool, const CLEARS: bool>() -> [Forms; SIZES.len()] {
            [$([
                [$name::<C, false, false, MEMORY, CLEARS>, $name::<C, false, true, MEMORY, CLEARS>],
                [$name::<C, true, false, MEMORY, CLEARS>, $name::<C, true, true, MEMORY, CLEARS>],
            ]),*]
        }
    };
}

runs! {
    one: a = 0;
    two: a = 0, b = 1;
    three: a = 0, b = 1, c = 2;
    four: a = 0, b = 1, c = 2, d = 3;
    six: a = 0, b = 1, c = 2, d = 3, e = 4, f = 5;
    eight: a = 0, b = 1, c = 2, d = 3, e = 4, f = 5, g = 6, h = 7;
}

/// The handlers by direction, by whether a key is in memory, and by encoding.
static HANDLERS: [[[[Forms; SIZES.len()]; 2]; 2]; 2] = [
    [
        [handlers::<Encryption, false, false>(), handlers::<Encryption, false, true>()],
        [handlers::<Encryption, true, false>(), handlers::<Encryption, true, true>()],
    ],
    [
        [handlers::<Decryption, false, false>(), handlers::<Decryption, false, true>()],
        [handlers::<Decryption, true, false>(), handlers::<Decryption, true, true>()],
    ],
];

/// Emits the instruction at hand and those behind it as one op, if they are a run.
pub(in crate::execute) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    if !emit.instruction.op0_register().is_xmm() || !emit.host_has(HostVector::AES) {
        return None;
    }
    let run = Run::find(ahead, emit.mode, |states| SIZES.contains(&states))?;
    let vectors = if run.vex { emit.mode.avx } else { emit.mode.sse };
    if vectors != Vectors::Enabled {
        return None;
    }
    let slot = emit.slots();
    emit_op(emit, ahead, &run)?;
    // The ops with keys in memory end where their plain ones start.
    let plain = (emit.slots() - slot) as u8;
    if run.accesses.is_none() {
        ahead.go_on(emit, run.length - 1);
    } else {
        emit_function(emit.instruction.mnemonic())?(emit)?;
        for index in 1..run.length {
            emit.go_on(ahead.get(index)?);
            emit_function(emit.instruction.mnemonic())?(emit)?;
        }
    }
    let behind = (emit.slots() - slot) as u8;
    let op = emit.op_at(slot);
    (op.c, op.d) = (plain, behind);
    Some(())
}

/// Appends the op of a run, and the slots that belong to it.
fn emit_op(emit: &mut Emit, ahead: Ahead, run: &Run) -> Option<()> {
    let base = match run.accesses {
        Some(index) => {
            let packed = emit.about(ahead.get(index)?, Emit::packed_address);
            // Only this form has all that tells one address from another in it.
            if packed.form != 0 {
                return None;
            }
            packed.base
        }
        None => 0,
    };
    let has = |kinds: [Kind; 2]| run.steps().iter().any(|(kind, _)| kinds.contains(kind));
    let add = has([Kind::Add; 2]);
    let last = has([Kind::EncryptLast, Kind::DecryptLast]);
    let decrypts = has([Kind::Decrypt, Kind::DecryptLast]);
    let size = SIZES.iter().position(|&size| size == run.states().len())?;
    let handlers = &HANDLERS[usize::from(decrypts)][usize::from(run.accesses.is_some())];
    let handler = handlers[usize::from(run.vex)][size][usize::from(add)][usize::from(last)];
    let mask = if run.aligned { run::KEY as u8 - 1 } else { 0 };
    emit.op(handler, mask, base, 0, 0, run.lowest() as i32);
    let mut states = [0; MOST_STATES];
    states[..run.states().len()].copy_from_slice(run.states());
    let steps = run.steps().len();
    emit.record(Shape {
        states,
        rounds: (steps - usize::from(add) - usize::from(last)) as u8,
        loads: run.loads().len() as u8,
        bytes: run.bytes() as u16,
    });
    let distance = |displacement: i64| (displacement - run.lowest()) as i32;
    let of_steps = run.steps().iter().map(|&(_, key)| match key {
        Key::Register(number) => i32::from(number) << 5,
        Key::Memory(displacement) => distance(displacement) << 1 | 1,
    });
    let of_loads = run
        .loads()
        .iter()
        .map(|&(number, displacement)| distance(displacement) << 4 | i32::from(number));
    let mut places = of_steps.chain(of_loads);
    while let Some(first) = places.next() {
        let mut place = || places.next().unwrap_or(0);
        emit.record(Places([first, place(), place(), place()]));
    }
    Some(())
}

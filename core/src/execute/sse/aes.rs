//! AES: one round of the cipher or of its inverse, and help with key schedules (FIPS 197). The state
//! has its columns in the vector's doublewords.

use super::super::host_vector::HostVector;
use super::handler::operation;
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, accelerated, rows};

rows! {
    Aesenc => operation::<Aesenc>, Aesenclast => operation::<Aesenclast>,
    Aesdec => operation::<Aesdec>, Aesdeclast => operation::<Aesdeclast>,
    Aesimc => operation::<Aesimc>, Aeskeygenassist => operation::<Aeskeygenassist>,
}

type State = [u8; 16];

accelerated! {
    NEEDS = HostVector::AES;
    Aesenc: Aligned, "aesenc", State, |state, key| {
        add_key(mix_columns(substitute(&SUBSTITUTION, shift_rows(state, 1)), ENCRYPTION), key)
    };
    Aesenclast: Aligned, "aesenclast", State, |state, key| {
        add_key(substitute(&SUBSTITUTION, shift_rows(state, 1)), key)
    };
    Aesdec: Aligned, "aesdec", State, |state, key| {
        add_key(mix_columns(substitute(&INVERSE, shift_rows(state, 3)), DECRYPTION), key)
    };
    Aesdeclast: Aligned, "aesdeclast", State, |state, key| {
        add_key(substitute(&INVERSE, shift_rows(state, 3)), key)
    };
    Aesimc: Aligned, "aesimc", State, |_, key| mix_columns(key, DECRYPTION);
}

/// AESKEYGENASSIST: of the words at odd places the substitution, and that rotated, with the round
/// constant of the immediate added.
pub(in crate::execute) struct Aeskeygenassist;

impl Operation for Aeskeygenassist {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::AES;

    #[inline(always)]
    fn compute(_: &mut u32, _: Vector, source: Vector, immediate: u8) -> Vector {
        let substituted = substitute(&SUBSTITUTION, State::of(source)).vector();
        let [_, first, _, second] = <[u32; 4]>::of(substituted);
        let constant = u32::from(immediate);
        let [a, b] = [first, second].map(|word| word.rotate_right(8) ^ constant);
        [first, a, second, b].vector()
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, _: Vector, source: Vector, immediate: u8) -> Vector {
        // The host's instruction has its constant in its code, and adds it last.
        let result = super::pure!("aeskeygenassist {0}, {1}, 0", 0_u128.vector(), source);
        let [a, b, c, d] = <[u32; 4]>::of(result);
        let constant = u32::from(immediate);
        [a, b ^ constant, c, d ^ constant].vector()
    }
}

/// The first column of the matrix that MixColumns multiplies by, and of its inverse.
const ENCRYPTION: [u8; 4] = [2, 1, 1, 3];
const DECRYPTION: [u8; 4] = [14, 9, 13, 11];

static SUBSTITUTION: [u8; 256] = substitution();
static INVERSE: [u8; 256] = {
    let (forward, mut inverse) = (substitution(), [0; 256]);
    let mut byte = 0;
    while byte < 256 {
        inverse[forward[byte] as usize] = byte as u8;
        byte += 1;
    }
    inverse
};

/// The product of two polynomials modulo x⁸ + x⁴ + x³ + x + 1.
const fn product(mut left: u8, mut right: u8) -> u8 {
    let mut sum = 0;
    while right != 0 {
        if right & 1 != 0 {
            sum ^= left;
        }
        left = left << 1 ^ if left & 0x80 != 0 { 0x1b } else { 0 };
        right >>= 1;
    }
    sum
}

/// FIPS 197, SubBytes: the inverse in the field, then an affine map.
const fn substitution() -> [u8; 256] {
    let mut table = [0x63; 256];
    // The powers of a generator and of its inverse run through all pairs of inverses.
    let (mut power, mut inverse) = (1_u8, 1_u8);
    loop {
        table[power as usize] = inverse
            ^ inverse.rotate_left(1)
            ^ inverse.rotate_left(2)
            ^ inverse.rotate_left(3)
            ^ inverse.rotate_left(4)
            ^ 0x63;
        (power, inverse) = (product(power, 3), product(inverse, 0xf6));
        if power == 1 {
            return table;
        }
    }
}

#[inline(always)]
fn substitute(table: &[u8; 256], state: State) -> State {
    state.map(|byte| table[usize::from(byte)])
}

/// Row `n` moves by `n` columns, `step` times.
#[inline(always)]
fn shift_rows(state: State, step: usize) -> State {
    core::array::from_fn(|place| {
        let (column, row) = (place / 4, place % 4);
        state[(column + row * step) % 4 * 4 + row]
    })
}

#[inline(always)]
fn mix_columns(state: State, matrix: [u8; 4]) -> State {
    core::array::from_fn(|place| {
        let (column, row) = (place / 4 * 4, place % 4);
        (0..4)
            .fold(0, |sum, from| sum ^ product(state[column + from], matrix[(row + 4 - from) % 4]))
    })
}

#[inline(always)]
fn add_key(state: State, key: State) -> State {
    core::array::from_fn(|place| state[place] ^ key[place])
}

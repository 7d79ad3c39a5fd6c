//! What the 80386's integer instructions compute, in plain arithmetic on numbers wider than theirs. It
//! shares nothing with any processor: flags are said as the manual says them.

use crate::register::eflags::{AF, CF, OF, PF, SF, STATUS, ZF};

/// The operands of an instruction, and its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the manuals name them")]
pub struct Operands {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub flags: u32,
}

/// Computes an instruction's results in place. What it returns are the flags that the manual leaves open.
pub type Model = fn(&mut Operands, bits: u32) -> u32;

/// All ones of this width.
pub fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// As a signed number of this width.
pub fn signed(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

impl Operands {
    /// EAX, AX or AL.
    pub fn a(&self, bits: u32) -> u64 {
        u64::from(self.eax) & mask(bits)
    }

    /// EBX, BX or BL.
    pub fn b(&self, bits: u32) -> u64 {
        u64::from(self.ebx) & mask(bits)
    }

    /// Writes EAX, AX or AL.
    pub fn set_a(&mut self, value: u64, bits: u32) {
        self.eax = merge(self.eax, value, bits);
    }

    /// Writes EDX or DX.
    pub fn set_d(&mut self, value: u64, bits: u32) {
        self.edx = merge(self.edx, value, bits);
    }

    /// Sets or clears flags.
    pub fn set(&mut self, flags: u32, on: bool) {
        self.flags = self.flags & !flags | if on { flags } else { 0 };
    }

    /// Whether CF is set, as a number.
    pub fn carry(&self) -> u64 {
        u64::from(self.flags & CF)
    }

    /// Sets SF, ZF and PF by a result.
    pub fn show(&mut self, result: u64, bits: u32) {
        let result = result & mask(bits);
        self.set(ZF, result == 0);
        self.set(SF, result >> (bits - 1) != 0);
        self.set(PF, (result as u8).count_ones().is_multiple_of(2));
    }
}

/// The low `bits` of `value` in place of those of `whole`.
pub fn merge(whole: u32, value: u64, bits: u32) -> u32 {
    let mask = mask(bits) as u32;
    whole & !mask | value as u32 & mask
}

/// An addition; `carry` is 0 for ADD.
pub fn add(o: &mut Operands, left: u64, right: u64, carry: u64, bits: u32) -> u64 {
    let sum = left + right + carry;
    let exact = signed(left, bits) + signed(right, bits) + carry as i64;
    o.set(CF, sum > mask(bits));
    o.set(AF, (left & 0xf) + (right & 0xf) + carry > 0xf);
    o.set(OF, exact != signed(sum & mask(bits), bits));
    o.show(sum, bits);
    sum & mask(bits)
}

/// A subtraction; `borrow` is 0 for SUB.
pub fn subtract(o: &mut Operands, left: u64, right: u64, borrow: u64, bits: u32) -> u64 {
    let difference = left.wrapping_sub(right + borrow) & mask(bits);
    let exact = signed(left, bits) - signed(right, bits) - borrow as i64;
    o.set(CF, left < right + borrow);
    o.set(AF, left & 0xf < (right & 0xf) + borrow);
    o.set(OF, exact != signed(difference, bits));
    o.show(difference, bits);
    difference
}

/// AND, OR, XOR: AF is open.
pub fn logical(o: &mut Operands, result: u64, bits: u32) -> u32 {
    o.set(CF | OF, false);
    o.show(result, bits);
    AF
}

/// One of the eight operations of opcodes 00 to 3f on A and B.
pub fn arithmetic(number: u32, o: &mut Operands, bits: u32) -> u32 {
    let (a, b, carry) = (o.a(bits), o.b(bits), o.carry());
    let mut open = 0;
    let result = match number {
        0 => add(o, a, b, 0, bits),
        2 => add(o, a, b, carry, bits),
        3 => subtract(o, a, b, carry, bits),
        5 | 7 => subtract(o, a, b, 0, bits),
        _ => {
            let result = match number {
                1 => a | b,
                4 => a & b,
                _ => a ^ b,
            };
            open = logical(o, result, bits);
            result
        }
    };
    if number != 7 {
        o.set_a(result, bits);
    }
    open
}

/// One of the eight shifts and rotations of A, one bit at a time. Flags that are open are left as they are.
pub fn shift(number: u32, o: &mut Operands, count: u32, bits: u32) -> u32 {
    let count = count & 31;
    let before = o.a(bits);
    let top = |value: u64| value >> (bits - 1) & 1;
    let mut value = before;
    let mut carry = o.carry();
    for _ in 0..count {
        let (out_left, out_right) = (top(value), value & 1);
        let left = value << 1 & mask(bits);
        let right = value >> 1;
        let entering_top = |bit: u64| right | bit << (bits - 1);
        (value, carry) = match number {
            0 => (left | out_left, out_left),
            1 => (entering_top(out_right), out_right),
            2 => (left | carry, out_left),
            3 => (entering_top(carry), out_right),
            5 => (right, out_right),
            7 => (entering_top(out_left), out_right),
            _ => (left, out_left),
        };
    }
    o.set_a(value, bits);
    if count == 0 {
        return 0;
    }
    let rotates = number < 4;
    o.set(CF, carry != 0);
    if count == 1 {
        let overflow = match number {
            0 | 2 | 4 | 6 => top(value) ^ carry,
            1 | 3 => top(value) ^ (value >> (bits - 2) & 1),
            5 => top(before),
            _ => 0,
        };
        o.set(OF, overflow != 0);
    }
    let mut open = if count == 1 { 0 } else { OF };
    if !rotates {
        o.show(value, bits);
        open |= AF;
        // Beyond the width, what is shifted out is no bit of the operand.
        if count >= bits && number != 7 {
            open |= CF;
        }
    }
    open
}

/// SHLD (`left`) or SHRD of A, from B; open altogether if the count exceeds the width.
pub fn double_shift(left: bool, o: &mut Operands, count: u32, bits: u32) -> Option<u32> {
    let count = count & 31;
    if count > bits {
        return None;
    }
    if count == 0 {
        return Some(0);
    }
    let (a, b) = (o.a(bits), o.b(bits));
    let both = if left { a << bits | b } else { b << bits | a };
    let (value, carry) = match left {
        true => (both >> (bits - count), a >> (bits - count)),
        false => (both >> count, a >> (count - 1)),
    };
    let value = value & mask(bits);
    o.set(CF, carry & 1 != 0);
    o.set(OF, (a ^ value) >> (bits - 1) != 0);
    o.show(value, bits);
    o.set_a(value, bits);
    Some(AF | if count == 1 { 0 } else { OF })
}

/// MUL or IMUL of A by B, into A and D. Of the flags CF and OF are said.
pub fn multiply(is_signed: bool, o: &mut Operands, bits: u32) -> u32 {
    let (a, b) = (o.a(bits), o.b(bits));
    let product = match is_signed {
        true => signed(a, bits).wrapping_mul(signed(b, bits)) as u64,
        false => a * b,
    };
    let low = product & mask(bits);
    let whole = match is_signed {
        true => signed(low, bits) as u64 == product,
        false => low == product,
    };
    if bits == 8 {
        o.set_a(product, 16);
    } else {
        o.set_a(low, bits);
        o.set_d(product >> bits, bits);
    }
    o.set(CF | OF, !whole);
    SF | ZF | AF | PF
}

/// DIV or IDIV of D and A by B, none if it raises #DE. No flag is said.
pub fn divide(is_signed: bool, o: &mut Operands, bits: u32) -> Option<u32> {
    let divisor = o.b(bits);
    let dividend = match bits {
        8 => o.a(16),
        _ => (u64::from(o.edx) & mask(bits)) << bits | o.a(bits),
    };
    let (quotient, remainder) = if is_signed {
        let (dividend, divisor) = (signed(dividend, 2 * bits), signed(divisor, bits));
        let quotient = dividend.checked_div(divisor)?;
        if quotient != signed(quotient as u64 & mask(bits), bits) {
            return None;
        }
        (quotient as u64, dividend.checked_rem(divisor)? as u64)
    } else {
        let quotient = dividend.checked_div(divisor)?;
        if quotient > mask(bits) {
            return None;
        }
        (quotient, dividend % divisor)
    };
    if bits == 8 {
        o.set_a((remainder & 0xff) << 8 | quotient & 0xff, 16);
    } else {
        o.set_a(quotient, bits);
        o.set_d(remainder, bits);
    }
    Some(STATUS)
}

/// Whether the condition of the number, as in Jcc, is met.
pub fn condition(number: u32, flags: u32) -> bool {
    let is = |flag| flags & flag != 0;
    let holds = match number >> 1 {
        0 => is(OF),
        1 => is(CF),
        2 => is(ZF),
        3 => is(CF | ZF),
        4 => is(SF),
        5 => is(PF),
        6 => is(SF) != is(OF),
        _ => is(ZF) || is(SF) != is(OF),
    };
    holds != (number & 1 != 0)
}

//! Where vectors come from: TestFloat's generator, if the environment names one, or the sample.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::{env, fmt, fs};

/// The program `testfloat_gen`, and the most vectors that are taken of a group.
const GENERATOR: &str = "TESTFLOAT_GENERATOR";
const MOST: &str = "TESTFLOAT_MOST";
/// A file that the generator's first vectors are written to, some of each group.
const SAMPLE: &str = "TESTFLOAT_SAMPLE";
/// Of each group in the sample.
const SAMPLED: usize = 24;

/// Rounding modes by the generator's names, with the encoding of MXCSR and of the x87's control word.
pub const NEAREST: (&str, u16) = ("-rnear_even", 0);
pub const DOWN: (&str, u16) = ("-rmin", 1);
pub const UP: (&str, u16) = ("-rmax", 2);
pub const TOWARD_ZERO: (&str, u16) = ("-rminMag", 3);

/// What is asked of the generator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub function: &'static str,
    pub rounding: (&'static str, u16),
    /// The x87's precision control.
    pub precision: (&'static str, u16),
    /// Whether rounding to an integer reports that it was inexact.
    pub exact: bool,
}

impl Group {
    fn arguments(&self) -> [&'static str; 4] {
        let exact = if self.exact { "-exact" } else { "-notexact" };
        [self.precision.0, self.rounding.0, exact, self.function]
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

/// Operands, the result and how many bits of it count, and IEEE's flags as the generator has them.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Each with the bits that it has.
    pub operands: Vec<(u128, u32)>,
    pub result: (u128, u32),
    pub flags: u8,
}

impl Vector {
    fn parse(line: &str) -> Option<Self> {
        let number =
            |text: &str| Some((u128::from_str_radix(text, 16).ok()?, 4 * text.len() as u32));
        let mut operands = line.split_whitespace().map(number).collect::<Option<Vec<_>>>()?;
        let (flags, result) = (operands.pop()?.0 as u8, operands.pop()?);
        let (result, flags) = open_fused(&operands).unwrap_or((result, flags));
        Some(Self { operands, result, flags })
    }
}

/// Result and flags of 0 × ∞ + NaN, which IEEE 754 leaves open: to SoftFloat it is an invalid operation,
/// to x86 (SDM, VFMADD132SD) the addend, which is one if it signals.
fn open_fused(operands: &[(u128, u32)]) -> Option<((u128, u32), u8)> {
    const INVALID: u8 = 0x10;
    let &[(left, bits), (right, _), (addend, _)] = operands else { return None };
    let fraction = if bits == 32 { 23 } else { 52 };
    let sign = 1 << (bits - 1);
    let (infinity, quiet) = (sign - (1 << fraction), 1 << (fraction - 1));
    let factors = [left, right].map(|factor| factor & !sign);
    let is_open = matches!(factors, [0, other] | [other, 0] if other == infinity);
    let flags = if addend & quiet == 0 { INVALID } else { 0 };
    (is_open && addend & !sign > infinity).then_some(((addend | quiet, bits), flags))
}

/// Gives vectors.
pub enum Source {
    Generator { program: String, most: usize, sample: Option<String> },
    Sample(BTreeMap<&'static str, Vec<&'static str>>),
}

impl Source {
    pub fn open() -> Self {
        let Ok(program) = env::var(GENERATOR) else {
            let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
            let mut group = "";
            for line in include_str!("sample.txt").lines() {
                if line.starts_with('-') {
                    group = line;
                } else {
                    groups.entry(group).or_default().push(line);
                }
            }
            return Self::Sample(groups);
        };
        let most = env::var(MOST).map_or(usize::MAX, |most| most.parse().expect("a number"));
        let sample = env::var(SAMPLE).ok();
        if let Some(path) = &sample {
            fs::write(path, "").expect("an empty sample");
        }
        Self::Generator { program, most, sample }
    }

    /// Calls `check` with each vector of a group.
    pub fn each(&mut self, group: &Group, mut check: impl FnMut(&Vector)) {
        match self {
            Self::Sample(groups) => {
                for line in groups.get(&*group.to_string()).into_iter().flatten() {
                    check(&Vector::parse(line).expect("the sample has vectors"));
                }
            }
            Self::Generator { program, most, sample } => {
                let mut generator = Command::new(program)
                    .args(group.arguments())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("the generator starts");
                let output = BufReader::new(generator.stdout.take().expect("a pipe"));
                let lines: Vec<_> = output.lines().map_while(Result::ok).take(*most).collect();
                // One that has more to say than is taken.
                let _ = generator.kill();
                generator.wait().expect("the generator ends");
                if let Some(path) = sample {
                    append(path, group, &lines);
                }
                for line in &lines {
                    check(&Vector::parse(line).expect("the generator writes vectors"));
                }
            }
        }
    }
}

/// Adds some vectors to the sample: those that raise something, and others.
fn append(path: &str, group: &Group, lines: &[String]) {
    let mut text = fs::read_to_string(path).expect("the sample is there");
    writeln!(text, "{group}").expect("a string grows");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let step = lines.len().div_ceil(997).max(1);
    let mut taken = 0;
    for line in lines.iter().step_by(step).chain(lines) {
        let kind = kinds.entry(line.rsplit(' ').next().unwrap_or("")).or_default();
        if taken < SAMPLED && *kind < 6 {
            (*kind, taken) = (*kind + 1, taken + 1);
            writeln!(text, "{line}").expect("a string grows");
        }
    }
    fs::write(path, text).expect("the sample is written");
}

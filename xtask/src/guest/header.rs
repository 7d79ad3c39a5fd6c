//! The `//@` lines at a guest's head, which declare what the guest is expected to do.
//!
//! They stand between the file's `//!` documentation and its first line of code, one key each:
//!
//! ```text
//! //@ exit: 33                 process exit status; 33 when absent
//! //@ stdout: text             one exact line of output; with any, they are the whole output
//! //@ stdout-contains: text    may repeat
//! //@ stderr-contains: text    in monovisor's own report; not checked on QEMU; may repeat
//! //@ flags: --timeout 500ms   more flags for monovisor, split at blanks
//! //@ append: words            the kernel's command line
//! //@ cpus: 4                  how many processors the machine has; 1 when absent
//! //@ disk: 64K                 a disk of zeros that large, for this run alone; `64K,ro` read-only
//! //@ outcome: exit            or triple-fault, or timeout (needs --timeout in the flags)
//! //@ qemu: differs: reason    runs on QEMU, not compared; `skip: reason` does not run there
//! //@ bochs: same             runs on Bochs, too, where that is asked for; `differs: reason` would fail
//! //@ kvm: skip: reason         does not run on KVM
//! //@ kvm-append: words        the command line there, where the usual one takes a slow KVM too long
//! //@ bench: words             the command line that makes a benchmark last a second or more
//! //@ bench-target: 1.2        wanted speed, as a multiple of QEMU's
//! ```
//!
//! A header with any fault in it gives no expectation at all, so a slip can't weaken a test.

use std::time::Duration;

/// The status with which a guest says that it passed.
pub const PASSED: i32 = 33;

/// What a guest's file declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// How the run ends.
    pub outcome: Outcome,
    /// The whole output, line by line; empty when nothing is said about it.
    pub stdout: Vec<String>,
    /// Text that is somewhere in the output.
    pub stdout_contains: Vec<String>,
    /// Text that is somewhere in monovisor's report.
    pub stderr_contains: Vec<String>,
    /// Flags for monovisor beyond the usual; files in them are named from the root.
    pub flags: Vec<String>,
    /// The kernel's command line.
    pub append: Option<String>,
    /// How many processors the machine has.
    pub cpus: u32,
    /// The disk that the guest is given.
    pub disk: Option<Disk>,
    /// What is expected of QEMU.
    pub qemu: Qemu,
    /// Whether Bochs can be asked for a second opinion.
    pub bochs: Bochs,
    /// Why it does not run on KVM, if it does not.
    pub kvm_skip: Option<String>,
    /// The kernel's command line on KVM, if it is another.
    pub kvm_append: Option<String>,
    /// The command line for measuring.
    pub bench: Option<String>,
    /// The wanted ratio of monovisor's speed to QEMU's.
    pub bench_target: Option<f64>,
}

impl Default for Header {
    /// Of a guest that declares nothing.
    fn default() -> Self {
        Self {
            outcome: Outcome::Exit(PASSED),
            stdout: Vec::new(),
            stdout_contains: Vec::new(),
            stderr_contains: Vec::new(),
            flags: Vec::new(),
            append: None,
            cpus: 1,
            disk: None,
            qemu: Qemu::Same,
            bochs: Bochs::NotAsked,
            kvm_skip: None,
            kvm_append: None,
            bench: None,
            bench_target: None,
        }
    }
}

/// A disk of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub bytes: u64,
    /// Whether the guest can only read it.
    pub read_only: bool,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The guest ends the run with this process exit status.
    Exit(i32),
    /// An exception could not be delivered, nor could the double fault.
    TripleFault,
    /// The guest never ends; monovisor stops it after this time.
    Timeout(Duration),
}

/// What is expected of QEMU for this guest.
#[derive(Debug, Clone, PartialEq)]
pub enum Qemu {
    /// The same as of monovisor, and the same output.
    Same,
    /// It runs, and its result is not compared, for this reason.
    Differs(String),
    /// It does not run there, for this reason.
    Skip(String),
}

/// What is expected of Bochs for this guest.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Bochs {
    /// Nothing: it has not all that the guest needs.
    #[default]
    NotAsked,
    /// The same as of monovisor.
    Same,
    /// Something else, for this reason, so it does not run there.
    Differs(String),
}

/// A line that says nothing sensible, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Counted from one.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Reads the header of a guest's source text.
pub fn parse(source: &str) -> Result<Header, Vec<Malformed>> {
    let mut reader = Reader::default();
    let mut faults = Vec::new();
    let mut in_code = false;
    for (index, line) in source.lines().enumerate() {
        let line = line.trim_end();
        let fault = match line.trim_start().strip_prefix("//@") {
            Some(_) if in_code => {
                Err("a header line after the first line of code: move it up to the `//!` docs"
                    .to_owned())
            }
            Some(rest) => reader.read(index + 1, rest),
            None => {
                in_code |= !line.is_empty() && !line.starts_with("//");
                Ok(())
            }
        };
        if let Err(what) = fault {
            faults.push(Malformed { line: index + 1, what });
        }
    }
    let outcome = match reader.outcome() {
        Ok(outcome) => outcome,
        Err(fault) => {
            faults.push(fault);
            Outcome::Exit(PASSED)
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Header {
        outcome,
        stdout: reader.stdout,
        stdout_contains: reader.stdout_contains,
        stderr_contains: reader.stderr_contains,
        flags: reader.flags,
        append: reader.append,
        cpus: reader.cpus.unwrap_or(1),
        disk: reader.disk,
        qemu: reader.qemu.unwrap_or(Qemu::Same),
        bochs: reader.bochs.unwrap_or_default(),
        kvm_skip: reader.kvm_skip,
        kvm_append: reader.kvm_append,
        bench: reader.bench,
        bench_target: reader.bench_target,
    })
}

/// What has been read so far; the outcome takes several keys together.
#[derive(Default)]
struct Reader {
    exit: Option<(usize, i32)>,
    outcome: Option<(usize, String)>,
    stdout: Vec<String>,
    stdout_contains: Vec<String>,
    stderr_contains: Vec<String>,
    flags: Vec<String>,
    append: Option<String>,
    cpus: Option<u32>,
    disk: Option<Disk>,
    qemu: Option<Qemu>,
    bochs: Option<Bochs>,
    kvm_skip: Option<String>,
    kvm_append: Option<String>,
    bench: Option<String>,
    bench_target: Option<f64>,
}

impl Reader {
    fn read(&mut self, line: usize, rest: &str) -> Result<(), String> {
        let (key, value) = rest
            .strip_prefix(' ')
            .and_then(|rest| rest.split_once(':'))
            .ok_or("not of the form `//@ key: value`")?;
        // One blank parts key and value; more belong to the text.
        let value = value.strip_prefix(' ').unwrap_or(value);
        if value.is_empty() && key != "stdout" {
            return Err(format!("`{key}` has no value"));
        }
        match key {
            "stdout" => self.stdout.push(value.to_owned()),
            "stdout-contains" => self.stdout_contains.push(value.to_owned()),
            "stderr-contains" => self.stderr_contains.push(value.to_owned()),
            "flags" => self.flags.extend(value.split_whitespace().map(str::to_owned)),
            "exit" => {
                let status = value.parse::<u8>().map_err(|_| {
                    format!("`{value}` is not an exit status: a number from 0 to 255")
                })?;
                once(key, &mut self.exit, (line, i32::from(status)))?;
            }
            "outcome" => once(key, &mut self.outcome, (line, value.to_owned()))?,
            "append" => once(key, &mut self.append, value.to_owned())?,
            "cpus" => {
                let cpus = value.parse().ok().filter(|cpus| (1..=255).contains(cpus));
                let cpus =
                    cpus.ok_or_else(|| format!("`{value}` is not a number from 1 to 255"))?;
                once(key, &mut self.cpus, cpus)?;
            }
            "disk" => once(key, &mut self.disk, disk(value)?)?,
            "qemu" => once(key, &mut self.qemu, qemu(value)?)?,
            "bochs" => once(key, &mut self.bochs, bochs(value)?)?,
            "kvm" => once(key, &mut self.kvm_skip, skip(value)?)?,
            "kvm-append" => once(key, &mut self.kvm_append, value.to_owned())?,
            "bench" => once(key, &mut self.bench, value.to_owned())?,
            "bench-target" => {
                let ratio =
                    value.parse::<f64>().ok().filter(|ratio| ratio.is_finite() && *ratio > 0.0);
                let ratio = ratio.ok_or_else(|| format!("`{value}` is not a ratio above zero"))?;
                once(key, &mut self.bench_target, ratio)?;
            }
            _ => {
                return Err(format!(
                    "unknown key `{key}`: it is one of exit, outcome, stdout, stdout-contains, \
                     stderr-contains, flags, append, cpus, disk, qemu, bochs, kvm, \
                     kvm-append, bench, bench-target"
                ));
            }
        }
        Ok(())
    }

    fn outcome(&self) -> Result<Outcome, Malformed> {
        let exit = self.exit.map_or(PASSED, |(_, status)| status);
        let Some((line, outcome)) = &self.outcome else {
            return Ok(Outcome::Exit(exit));
        };
        let fault = |line: usize, what: String| Err(Malformed { line, what });
        let ended = match outcome.as_str() {
            "exit" => return Ok(Outcome::Exit(exit)),
            "triple-fault" => Outcome::TripleFault,
            "timeout" => match flag_value(&self.flags, "--timeout").and_then(parse_duration) {
                Some(limit) => Outcome::Timeout(limit),
                None => {
                    let what = "`timeout` needs a line such as `//@ flags: --timeout 500ms`";
                    return fault(*line, what.to_owned());
                }
            },
            _ => {
                let what =
                    format!("unknown outcome `{outcome}`: it is exit, triple-fault or timeout");
                return fault(*line, what);
            }
        };
        // It may be said, but not contradicted.
        match self.exit {
            Some((line, status)) if status != ended.status() => {
                fault(line, format!("the exit status of `{outcome}` is {}", ended.status()))
            }
            _ => Ok(ended),
        }
    }
}

impl Outcome {
    /// monovisor's exit status for it.
    pub fn status(self) -> i32 {
        match self {
            Self::Exit(status) => status,
            Self::TripleFault => 134,
            Self::Timeout(_) => 124,
        }
    }
}

fn once<T>(key: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    if slot.replace(value).is_some() {
        return Err(format!("`{key}` is given twice"));
    }
    Ok(())
}

fn qemu(value: &str) -> Result<Qemu, String> {
    let (kind, reason) = value.split_once(':').unwrap_or((value, ""));
    let reason = reason.trim().to_owned();
    match (kind, reason.is_empty()) {
        ("differs", false) => Ok(Qemu::Differs(reason)),
        ("skip", false) => Ok(Qemu::Skip(reason)),
        _ => Err(format!("`{value}` is neither `differs: reason` nor `skip: reason`")),
    }
}

fn bochs(value: &str) -> Result<Bochs, String> {
    let reason = value.strip_prefix("differs:").map(str::trim);
    match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => Ok(Bochs::Differs(reason.to_owned())),
        None if value == "same" => Ok(Bochs::Same),
        None => Err(format!("`{value}` is neither `same` nor `differs: reason`")),
    }
}

fn disk(value: &str) -> Result<Disk, String> {
    let (size, read_only) = match value.strip_suffix(",ro") {
        Some(size) => (size, true),
        None => (value, false),
    };
    let unit = size.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match unit {
        "K" => Some(10),
        "M" => Some(20),
        _ => None,
    };
    let number = size[..size.len() - unit.len()].parse::<u32>().ok();
    match number.zip(shift) {
        Some((number, shift)) => Ok(Disk { bytes: u64::from(number) << shift, read_only }),
        None => Err(format!("`{value}` is not a size such as 64K or 1M, with or without `,ro`")),
    }
}

fn skip(value: &str) -> Result<String, String> {
    let reason = value.strip_prefix("skip:").map(str::trim).filter(|reason| !reason.is_empty());
    reason.map(str::to_owned).ok_or_else(|| format!("`{value}` is not `skip: reason`"))
}

/// The value of a flag, written as `--flag value` or `--flag=value`.
pub fn flag_value<'a>(flags: &'a [String], flag: &'a str) -> Option<&'a str> {
    flag_values(flags, flag).next()
}

/// The values of a flag that may repeat.
pub fn flag_values<'a>(flags: &'a [String], flag: &'a str) -> impl Iterator<Item = &'a str> {
    let next = flags.iter().skip(1).map(String::as_str).map(Some).chain([None]);
    flags.iter().zip(next).filter_map(move |(word, next)| match word.split_once('=') {
        Some((name, value)) => (name == flag).then_some(value),
        None => next.filter(|_| word == flag),
    })
}

/// A time as monovisor's flags write it: `500ms`, `2s`, `1m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a header with these lines, as `(line, what)`.
    fn faults(lines: &[&str]) -> Vec<(usize, String)> {
        let faults = parse(&lines.join("\n")).expect_err("a fault");
        faults.into_iter().map(|fault| (fault.line, fault.what)).collect()
    }

    #[test]
    fn a_bare_file_must_pass_with_33() {
        let header = parse("//! Docs.\n#![no_std]\nfn main() {}\n").expect("no fault");
        assert_eq!(header.outcome, Outcome::Exit(33));
        assert_eq!((header.qemu, header.cpus), (Qemu::Same, 1));
        assert_eq!(header.stdout, [""; 0]);
    }

    #[test]
    fn every_key_is_read() {
        let header = parse(
            "//! Docs.\n\n//@ exit: 7\n//@ stdout: one\n//@ stdout:  two: blanks\n//@ stdout:\n\
             //@ stdout-contains: tw\n//@ stderr-contains: #PF\n//@ flags: --memory 64M -v\n\
             //@ append: a b=c\n//@ cpus: 3\n//@ disk: 64K,ro\n//@ outcome: exit\n//@ qemu: differs: its #GP is wrong: SDM\n\
             //@ bochs: same\n//@ kvm: skip: slow\n//@ kvm-append: small\n//@ bench: size=9\n//@ bench-target: 1.25\n#![no_std]\n",
        );
        let expected = Header {
            outcome: Outcome::Exit(7),
            stdout: vec!["one".into(), " two: blanks".into(), String::new()],
            stdout_contains: vec!["tw".into()],
            stderr_contains: vec!["#PF".into()],
            flags: vec!["--memory".into(), "64M".into(), "-v".into()],
            append: Some("a b=c".into()),
            cpus: 3,
            disk: Some(Disk { bytes: 64 << 10, read_only: true }),
            qemu: Qemu::Differs("its #GP is wrong: SDM".into()),
            bochs: Bochs::Same,
            kvm_skip: Some("slow".into()),
            kvm_append: Some("small".into()),
            bench: Some("size=9".into()),
            bench_target: Some(1.25),
        };
        assert_eq!(header, Ok(expected));
    }

    #[test]
    fn outcomes_have_their_limits() {
        let timeout = parse("//@ outcome: timeout\n//@ flags: --timeout 500ms\n");
        assert_eq!(
            timeout.expect("no fault").outcome,
            Outcome::Timeout(Duration::from_millis(500))
        );
        let triple = parse("//@ outcome: triple-fault\n");
        assert_eq!(triple.expect("no fault").outcome, Outcome::TripleFault);
        assert_eq!(faults(&["//@ outcome: timeout"])[0].0, 1);
        assert_eq!(faults(&["//@ outcome: hang"])[0].0, 1);
        assert_eq!(faults(&["//@ outcome: triple-fault", "//@ exit: 33"])[0].0, 2);
        let said = parse("//@ outcome: triple-fault\n//@ exit: 134\n").expect("no fault");
        assert_eq!(said.outcome.status(), 134);
    }

    #[test]
    fn a_slip_is_found_at_its_line() {
        for line in [
            "//@exit: 33",
            "//@ exit 33",
            "//@ exit: 256",
            "//@ exit:",
            "//@ exits: 33",
            "//@ cpus: 0",
            "//@ cpus: many",
            "//@ qemu: differs",
            "//@ qemu: skip:",
            "//@ qemu: sometimes: reason",
            "//@ disk: 64",
            "//@ disk: K,ro",
            "//@ kvm: skip",
            "//@ kvm: differs: reason",
            "//@ bench-target: fast",
            "//@ bench-target: 0",
        ] {
            let found = faults(&["//! Docs.", line]);
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].0, 2, "{line}");
        }
        assert_eq!(faults(&["//@ exit: 1", "//@ exit: 2"])[0], (2, "`exit` is given twice".into()));
        assert_eq!(faults(&["#![no_std]", "//@ exit: 1"])[0].0, 2);
    }

    #[test]
    fn all_slips_are_told_at_once() {
        assert_eq!(faults(&["//@ exits: 1", "//@ exit: 1", "//@ stdut: x"]).len(), 2);
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(parse_duration("1m"), Some(Duration::from_secs(60)));
        assert_eq!(parse_duration("500"), None);
        assert_eq!(parse_duration("ms"), None);
    }

    #[test]
    fn flags_are_found_in_both_spellings() {
        let flags = ["-v", "--timeout=1s", "--memory", "64M"].map(str::to_owned);
        assert_eq!(flag_value(&flags, "--timeout"), Some("1s"));
        assert_eq!(flag_value(&flags, "--memory"), Some("64M"));
        assert_eq!(flag_value(&flags, "--serial"), None);
        assert_eq!(flag_value(&flags, "64M"), None);
        let flags = ["--module", "a", "--module=b", "-v"].map(str::to_owned);
        assert_eq!(flag_values(&flags, "--module").collect::<Vec<_>>(), ["a", "b"]);
    }
}

//! Quantities and outcomes in words. Every number that a person reads is formatted here.

use std::fmt;
use std::time::Duration;

use super::Summary;

/// The line that `-v` prints at a run's end.
impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.outcome, after(self.wall_time, self.instructions))?;
        if let (Some(instructions), Some(wall_time)) = (self.instructions, self.wall_time) {
            let seconds = wall_time.as_secs_f64();
            if instructions >= 1_000_000 && seconds > 0.0 {
                write!(
                    formatter,
                    " ({:.0} million a second)",
                    instructions as f64 / seconds / 1e6
                )?;
            }
        }
        write!(formatter, " on the {} engine", self.engine)
    }
}

/// How far a run came, as far as it is known: ` after 28.3 ms and 12,345,678 instructions`.
pub fn after(wall_time: Option<Duration>, instructions: Option<u64>) -> String {
    let instructions = instructions.map(|number| format!("{} instructions", count(number)));
    let parts: Vec<_> = wall_time.map(duration).into_iter().chain(instructions).collect();
    if parts.is_empty() { String::new() } else { format!(" after {}", parts.join(" and ")) }
}

/// A number with its digits in groups of three: `12,345,678`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A span of time with three significant digits: `1.20 s`, `28.3 ms`, `512 µs`.
pub fn duration(span: Duration) -> String {
    let nanoseconds = span.as_nanos() as f64;
    let (value, unit) = match nanoseconds {
        _ if nanoseconds >= 999.5e6 => (nanoseconds / 1e9, "s"),
        _ if nanoseconds >= 999.5e3 => (nanoseconds / 1e6, "ms"),
        _ if nanoseconds >= 999.5 => (nanoseconds / 1e3, "µs"),
        _ => return format!("{nanoseconds} ns"),
    };
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(value), text);
        }
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn durations_keep_three_digits() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_234, "1.23 µs"),
            (999_499, "999 µs"),
            (999_999, "1.00 ms"),
            (28_340_000, "28.3 ms"),
            (1_200_000_000, "1.20 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn a_summary_is_one_line() {
        let summary = Summary {
            outcome: &Outcome::Exited(33),
            image: Path::new("kernel.elf"),
            engine: "interpreter",
            cpus: 1,
            ended_by: Some(0),
            instructions: Some(600_000_000),
            wall_time: Some(Duration::from_millis(500)),
            unclaimed: &[],
        };
        assert_eq!(
            summary.to_string(),
            "the guest exited with code 33 after 500 ms and 600,000,000 instructions \
             (1200 million a second) on the interpreter engine"
        );
        assert_eq!(
            Summary { wall_time: None, ..summary }.to_string(),
            "the guest exited with code 33 after 600,000,000 instructions on the interpreter engine"
        );
        assert_eq!(after(None, None), "");
    }
}

//! The times of a machine whose clock counts something else than time. Its guest says before and after
//! each measurement what the clock shows; here is when that was heard.
//!
//! So a rate is by the host's clock. Latencies are the guest's, stretched as the whole was.

use crate::process::Finished;

use super::sample::Line;

/// How a guest's words begin.
const MARK: &str = "mark ";

/// Gives each line the host's time, if there is a pair of marks for each.
pub fn correct(lines: &mut [Line], finished: &Finished) -> Result<(), String> {
    let marks = marks(finished);
    if marks.len() != 2 * lines.len() {
        return Err(format!("{} marks for {} measurements", marks.len(), lines.len()));
    }
    for (line, pair) in lines.iter_mut().zip(marks.chunks_exact(2)) {
        let [(guest_start, start), (guest_end, end)] = [pair[0], pair[1]];
        let factor = (end - start) / (guest_end - guest_start).max(1.0);
        let times = [
            &mut line.elapsed_ns,
            &mut line.p50_ns,
            &mut line.p95_ns,
            &mut line.p99_ns,
            &mut line.max_ns,
        ];
        times.into_iter().for_each(|ns| *ns = (*ns as f64 * factor) as u64);
    }
    Ok(())
}

/// What the guest's clock showed, and when, in nanoseconds.
fn marks(finished: &Finished) -> Vec<(f64, f64)> {
    let lines = finished.stdout.lines().zip(&finished.line_times);
    let marks = lines.filter_map(|(line, time)| {
        let (_, ns) = line.split_once(MARK)?;
        Some((ns.trim().parse().ok()?, time.as_nanos() as f64))
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_stretched_to_the_hosts() {
        let heard = |stdout: &str, ms: &[u64]| Finished {
            status: Some(1),
            killed: false,
            stdout: stdout.to_owned(),
            line_times: ms.iter().map(|&ms| Duration::from_millis(ms)).collect(),
            stderr: String::new(),
            wall: Duration::from_secs(1),
            resident_bytes: 0,
        };
        let line: Line = serde_json::from_str(
            r#"{"name":"cpu","events":1,"elapsed_ns":1000,"p50_ns":1,"p95_ns":2,"p99_ns":3,
                "max_ns":500,"checksum":"0"}"#,
        )
        .expect("a line");
        let mut lines = [line];
        // Two thousand nanoseconds of the guest's took 30 milliseconds.
        let finished = heard("bochs\nAmark 5000\nmark 7000\n{}\n", &[1, 10, 40, 50]);
        assert_eq!(correct(&mut lines, &finished), Ok(()));
        assert_eq!((lines[0].elapsed_ns, lines[0].max_ns), (15_000_000, 7_500_000));
        assert!(correct(&mut lines, &heard("mark 5000\n", &[1])).is_err());
    }
}

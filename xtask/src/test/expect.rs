//! Compares what a guest did with what its header declares.
//!
//! Each function returns complaints in plain words, none if all is as declared.

use crate::bochs::Bochs;
use crate::guest::header::{Header, Outcome};
use crate::process::Finished;

/// How much of a long text a report shows.
const TAIL_LINES: usize = 25;

/// What is wrong with a run on monovisor.
pub fn on_monovisor(header: &Header, finished: &Finished) -> Vec<String> {
    let mut complaints = Vec::new();
    if finished.killed {
        complaints
            .push("did not end and was killed: its own time limit did not stop it".to_owned());
    } else {
        complaints.extend(status(header.outcome.status(), finished.status));
    }
    complaints.extend(output(header, &finished.stdout));
    for text in &header.stderr_contains {
        if !finished.stderr.contains(text.as_str()) {
            complaints.push(format!("standard error should contain: {text}"));
        }
    }
    complaints
}

/// Why KVM did not run a guest, if it did not and neither the guest nor monovisor is to blame.
pub fn kvm_refusal(finished: &Finished) -> Option<&str> {
    /// monovisor's exit status for a failure of its own.
    const FAILURE: i32 = 125;
    /// There is no KVM, the guest's flags need the interpreter, or a paravirtual KVM has met an
    /// instruction that it does not know.
    const REFUSALS: [&str; 3] =
        ["KVM cannot be used", "and --accel kvm", "would have to emulate and cannot"];
    let sentence = finished.stderr.lines().next()?.strip_prefix("monovisor: ")?;
    let refused = REFUSALS.iter().any(|words| sentence.contains(words));
    (finished.status == Some(FAILURE) && refused).then_some(sentence)
}

/// What is wrong with a run on QEMU, which has its own way to end each outcome.
pub fn on_qemu(header: &Header, finished: &Finished) -> Vec<String> {
    let mut complaints = Vec::new();
    match (header.outcome, finished.killed) {
        (Outcome::Timeout(_), true) => {}
        (Outcome::Timeout(_), false) => complaints
            .push(format!("should run on for ever, but ended with {}", name(finished.status))),
        (Outcome::Exit(_) | Outcome::TripleFault, true) => {
            complaints.push("did not end and was killed".to_owned());
        }
        (Outcome::Exit(expected), false) => complaints.extend(status(expected, finished.status)),
        // With -no-reboot, QEMU ends normally instead of restarting the machine.
        (Outcome::TripleFault, false) => complaints.extend(status(0, finished.status)),
    }
    complaints.extend(output(header, &finished.stdout));
    complaints
}

/// What is wrong with a run on Bochs, which tells no exit status.
pub fn on_bochs(header: &Header, finished: &Finished) -> Vec<String> {
    let mut complaints: Vec<_> = Bochs::failure(finished).into_iter().collect();
    complaints.extend(output(header, &finished.stdout));
    complaints
}

/// Complains when QEMU's output is not monovisor's.
pub fn same_output(monovisor: &Finished, qemu: &Finished) -> Option<String> {
    let (ours, theirs) = (lines(&monovisor.stdout), lines(&qemu.stdout));
    (ours != theirs).then(|| {
        format!("the output differs between monovisor (-) and QEMU (+):\n{}", diff(&ours, &theirs))
    })
}

/// The last lines of a text under a title.
pub fn tail(title: &str, text: &str) -> String {
    let lines = lines(text);
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if shown.is_empty() {
        return format!("{title}: nothing");
    }
    format!("{title}:\n  {}", shown.join("\n  "))
}

fn status(expected: i32, actual: Option<i32>) -> Option<String> {
    (actual != Some(expected))
        .then(|| format!("should end with status {expected}, but ended with {}", name(actual)))
}

fn name(status: Option<i32>) -> String {
    status.map_or("a signal".to_owned(), |status| format!("status {status}"))
}

fn output(header: &Header, stdout: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let actual = lines(stdout);
    let expected: Vec<&str> = header.stdout.iter().map(String::as_str).collect();
    if !expected.is_empty() && actual != expected {
        complaints.push(format!(
            "the output is not as declared: expected (-), actual (+):\n{}",
            diff(&expected, &actual)
        ));
    }
    for text in &header.stdout_contains {
        if !stdout.contains(text.as_str()) {
            complaints.push(format!("standard output should contain: {text}"));
        }
    }
    complaints
}

/// Lines without their ends; a serial terminal's carriage returns are no part of them.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.trim_end_matches('\r')).collect()
}

/// The differing lines, with the common lines before and after left out.
fn diff(expected: &[&str], actual: &[&str]) -> String {
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let before = expected.iter().zip(actual).take_while(same).count();
    let (expected_rest, actual_rest) = (&expected[before..], &actual[before..]);
    let after = expected_rest.iter().rev().zip(actual_rest.iter().rev()).take_while(same).count();
    let mut text = format!("  at line {}:", before + 1);
    for (sign, rest) in [('-', expected_rest), ('+', actual_rest)] {
        let differing = &rest[..rest.len() - after];
        for line in differing.iter().take(TAIL_LINES) {
            text.push_str(&format!("\n  {sign} {line}"));
        }
        if let Some(more @ 1..) = differing.len().checked_sub(TAIL_LINES) {
            text.push_str(&format!("\n  {sign} … and {more} lines more"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::guest::header;

    fn finished(status: Option<i32>, stdout: &str, stderr: &str) -> Finished {
        Finished {
            status,
            killed: status.is_none(),
            stdout: stdout.to_owned(),
            line_times: Vec::new(),
            stderr: stderr.to_owned(),
            wall: Duration::ZERO,
            resident_bytes: 0,
        }
    }

    fn expecting(header: &str) -> Header {
        header::parse(header).expect("a header")
    }

    #[test]
    fn a_run_as_declared_has_no_complaint() {
        let header = expecting(
            "//@ stdout: a\n//@ stdout: b\n//@ stdout-contains: b\n//@ stderr-contains: #PF\n",
        );
        assert_eq!(on_monovisor(&header, &finished(Some(33), "a\r\nb\r\n", "a #PF")), [""; 0]);
        assert_eq!(on_qemu(&header, &finished(Some(33), "a\nb\n", "")), [""; 0]);
    }

    #[test]
    fn each_difference_is_a_complaint() {
        let header = expecting("//@ stdout: a\n");
        assert_eq!(on_monovisor(&header, &finished(Some(35), "a\n", "")).len(), 1);
        assert_eq!(on_monovisor(&header, &finished(None, "a\n", "")).len(), 1);
        assert_eq!(on_monovisor(&header, &finished(Some(33), "a\nb\n", "")).len(), 1);
        assert_eq!(on_monovisor(&header, &finished(Some(33), "", "")).len(), 1);
        let header = expecting("//@ stderr-contains: #GP\n");
        assert_eq!(on_monovisor(&header, &finished(Some(33), "", "#PF")).len(), 1);
        let header = expecting("//@ stdout-contains: yes\n");
        assert_eq!(on_monovisor(&header, &finished(Some(33), "no\n", "")).len(), 1);
    }

    #[test]
    fn each_machine_ends_an_outcome_in_its_own_way() {
        let triple = expecting("//@ outcome: triple-fault\n");
        assert_eq!(on_monovisor(&triple, &finished(Some(134), "", "")), [""; 0]);
        assert_eq!(on_qemu(&triple, &finished(Some(0), "", "")), [""; 0]);
        assert_eq!(on_qemu(&triple, &finished(Some(33), "", "")).len(), 1);
        let hang = expecting("//@ outcome: timeout\n//@ flags: --timeout 500ms\n");
        assert_eq!(on_monovisor(&hang, &finished(Some(124), "", "")), [""; 0]);
        assert_eq!(on_monovisor(&hang, &finished(None, "", "")).len(), 1);
        assert_eq!(on_qemu(&hang, &finished(None, "", "")), [""; 0]);
        assert_eq!(on_qemu(&hang, &finished(Some(33), "", "")).len(), 1);
    }

    #[test]
    fn qemu_must_say_the_same() {
        let ours = finished(Some(33), "a\nb\nc\n", "");
        assert_eq!(same_output(&ours, &finished(Some(33), "a\r\nb\r\nc\r\n", "")), None);
        let complaint =
            same_output(&ours, &finished(Some(33), "a\nx\nc\n", "")).expect("a difference");
        assert!(complaint.ends_with("at line 2:\n  - b\n  + x"), "{complaint}");
    }

    #[test]
    fn a_diff_shows_only_what_differs() {
        assert_eq!(diff(&["a", "b", "c"], &["a", "c"]), "  at line 2:\n  - b");
        assert_eq!(diff(&["a"], &["a", "b"]), "  at line 2:\n  + b");
        assert_eq!(diff(&[], &["b"]), "  at line 1:\n  + b");
    }

    #[test]
    fn kvm_refuses_in_its_own_words_only() {
        let said = |status, stderr| kvm_refusal(&finished(Some(status), "", stderr)).is_some();
        assert!(said(125, "monovisor: KVM cannot be used: there is none\n"));
        assert!(!said(125, "monovisor: the engine's KVM_SET_SREGS failed (errno 22)\n"));
        assert!(!said(1, "monovisor: KVM cannot be used: there is none\n"));
    }
}

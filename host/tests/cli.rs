//! The program as its users meet it: what it says where, what reaches the guest, what repeats. The
//! guests are a few bytes of real-mode code each.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// `mov dx, 0x3f8; mov al, 'k'; out dx, al; mov al, 42; out 0xf4, al; jmp $`
const HELLO: &[u8] = b"\xba\xf8\x03\xb0k\xee\xb0\x2a\xe6\xf4\xeb\xfe";
/// `mov dx, 0x3f8; mov al, 'k'; out dx, al; jmp $`
const HANG: &[u8] = b"\xba\xf8\x03\xb0k\xee\xeb\xfe";
/// `cli; hlt; jmp $`
const HALT: &[u8] = b"\xfa\xf4\xeb\xfe";
/// `mov al, 0xfe; out 0x64, al; jmp $`
const RESET: &[u8] = b"\xb0\xfe\xe6\x64\xeb\xfe";
/// `start: mov dx, 0x3fd; wait: in al, dx; test al, 1; jz wait; mov dx, 0x3f8; in al, dx;
/// out dx, al; cmp al, '!'; jne start; mov al, 42; out 0xf4, al; jmp $`
const ECHO: &[u8] = b"\xba\xfd\x03\xec\xa8\x01\x74\xfb\xba\xf8\x03\xec\xee\x3c!\x75\xef\
    \xb0\x2a\xe6\xf4\xeb\xfe";

struct Guest(TempDir);

impl Guest {
    fn new(code: &[u8]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("image"), code).expect("the image can be written");
        Self(folder)
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monovisor"));
        command
            .current_dir(&self.0)
            .args(["run", "--flat=0x7c00", "--debug-exit=raw"])
            .args(flags)
            .arg("image")
            .stdin(Stdio::null());
        // Of two limits of the same kind the last would count.
        if !flags.iter().any(|flag| flag.starts_with("--timeout")) {
            command.arg("--timeout=20s");
        }
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().expect("monovisor starts")
    }

    fn start(&self, flags: &[&str]) -> Child {
        let mut command = self.command(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("monovisor starts")
    }

    fn json(&self) -> Value {
        let text = std::fs::read(self.0.path().join("run.json")).expect("the report is there");
        serde_json::from_slice(&text).expect("the report is JSON")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_choice_of_an_engine_is_told_unless_the_user_has_made_it() {
    let guest = Guest::new(HELLO);
    let output = guest.run(&[]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(42), &b"k"[..]));
    let line = said(&output);
    assert!(line.contains("interpreter") && line.lines().count() == 1, "{line}");
    assert_eq!(said(&guest.run(&["--accel=interp"])), "");
    let chosen = guest.command(&[]).env("MONOVISOR_ACCEL", "interp").output();
    assert_eq!(said(&chosen.expect("monovisor starts")), "");
}

#[test]
fn all_that_is_told_of_a_deterministic_run_repeats() {
    for (code, exit_code) in [(HELLO, 42), (HALT, 134), (HANG, 124)] {
        let guest = Guest::new(code);
        let run = || {
            let flags = ["--deterministic", "--max-instructions=100000", "--json=run.json", "-v"];
            let output = guest.run(&flags);
            assert_eq!(output.status.code(), Some(exit_code), "{}", said(&output));
            (output, guest.json())
        };
        assert_eq!(run(), run());
        assert_eq!(guest.json()["wall_time_ns"], Value::Null);
    }
}

#[test]
fn a_limit_of_instructions_is_exact() {
    let guest = Guest::new(HANG);
    for limit in [0, 1, 1000, 123_457] {
        let output = guest.run(&[&format!("--max-instructions={limit}"), "--json=run.json"]);
        assert_eq!(output.status.code(), Some(124), "{}", said(&output));
        assert_eq!(guest.json()["instructions"], limit);
        assert!(guest.json()["wall_time_ns"].is_u64());
    }
}

#[test]
fn a_pipe_reaches_the_guest() {
    let guest = Guest::new(ECHO);
    let mut child = guest.start(&[]);
    let mut input = child.stdin.take().expect("it is piped");
    let text = "abc".repeat(3000) + "!";
    input.write_all(text.as_bytes()).expect("the guest reads");
    // The pipe stays open: the guest ends by itself.
    let output = child.wait_with_output().expect("monovisor ends");
    assert_eq!(output.status.code(), Some(42), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), text);
}

#[test]
fn a_signal_ends_the_run_with_its_own_code() {
    // A disk has a thread of its own, which must not take the signal.
    for (name, code, flags) in
        [("TERM", 143, &[][..]), ("HUP", 129, &[]), ("TERM", 143, &["--disk=disk.img"])]
    {
        let guest = Guest::new(HANG);
        std::fs::write(guest.0.path().join("disk.img"), [0; 4096]).expect("a disk can be made");
        let mut child = guest.start(flags);
        let mut letter = [0];
        child
            .stdout
            .as_mut()
            .expect("it is piped")
            .read_exact(&mut letter)
            .expect("the guest runs");
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(kill.expect("kill is there").success());
        let output = child.wait_with_output().expect("monovisor ends");
        assert_eq!((output.status.code(), letter), (Some(code), *b"k"), "{}", said(&output));
    }
}

#[test]
fn sigquit_tells_where_the_guest_is_and_lets_it_go_on() {
    let guest = Guest::new(HANG);
    for flags in [&[][..], &["--deterministic"]] {
        let mut child = guest.start(flags);
        let mut letter = [0];
        let output = child.stdout.as_mut().expect("it is piped");
        output.read_exact(&mut letter).expect("the guest runs");
        let number = child.id().to_string();
        let kill = |name: &str| {
            let kill = Command::new("kill").args(["-s", name, &number]).status();
            assert!(kill.expect("kill is there").success());
        };
        kill("QUIT");
        let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut report = String::new();
        while !report.contains("to run it again") {
            assert_ne!(errors.read_line(&mut report).expect("it is text"), 0, "{report}");
        }
        assert!(report.contains("monovisor: the guest is here, and goes on"), "{report}");
        assert!(report.contains("eb fe"), "{report}");
        kill("TERM");
        assert_eq!(child.wait().expect("monovisor ends").code(), Some(143));
    }
}

#[test]
fn reports_point_at_the_instruction_that_ended_the_run() {
    for (code, instruction) in [(HALT, "f4"), (RESET, "e6 64"), (HANG, "eb fe")] {
        let output = Guest::new(code).run(&["--timeout=100ms"]);
        let report = said(&output);
        let marked: Vec<_> = report.lines().filter(|line| line.starts_with("  > ")).collect();
        let [marked] = marked[..] else { panic!("one instruction is marked: {report}") };
        assert!(marked.contains(&format!("  {instruction} ")), "{marked}");
    }
}

#[test]
fn words_of_the_guest_may_begin_with_a_hyphen_behind_the_first() {
    let guest = Guest::new(HELLO);
    for words in [&["quiet", "--verbose=1", "--timeout=0s"][..], &["--", "--verbose=1"]] {
        let output = guest.command(&[]).args(words).output().expect("monovisor starts");
        // They are the guest's: this one has no way to receive them.
        assert_eq!(output.status.code(), Some(126), "{words:?}: {}", said(&output));
        assert!(said(&output).contains("arguments"), "{}", said(&output));
    }
    let output = guest.command(&[]).arg("--verbos").output().expect("monovisor starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--verbos"), "{}", said(&output));
}

//! The program itself with files that are no images, and settings that are none: one sentence on
//! standard error, nothing on standard output, and the documented exit code.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::builder::*;

/// Subcommands that take an image.
const SUBCOMMANDS: [&str; 2] = ["inspect", "run"];

fn monovisor(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monovisor"));
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"MONOVISOR_") {
            command.env_remove(name);
        }
    }
    command
}

/// Checks that the program has failed with `code` and one sentence that contains `expected`.
fn check_failure(output: &Output, code: i32, expected: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("monovisor: ") && said.contains(expected), "{said}");
    assert_eq!(said.matches('\n').count(), 1, "{said}");
    assert!(output.stdout.is_empty());
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[test]
fn files_that_are_no_images() {
    let directory = temporary();
    let path = directory.path();
    fs::write(path.join("empty"), "").unwrap();
    fs::write(path.join("text"), "hello").unwrap();
    // Sparse: a hundred GiB that nobody may read.
    File::create(path.join("huge")).unwrap().set_len(100 << 30).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(path.join("pipe")).status();
    assert!(fifo.unwrap().success());
    let table = [
        ("empty", 126, "the file is empty"),
        ("text", 126, "in no format that monovisor boots"),
        ("huge", 126, "in no format that monovisor boots"),
        ("pipe", 126, "this is a pipe"),
        (".", 126, "this is a directory"),
        ("/dev/zero", 126, "this is a device"),
        ("missing", 127, "missing: there is no such file"),
        ("text/missing", 127, "there is no such file"),
    ];
    for (image, code, expected) in table {
        for subcommand in SUBCOMMANDS {
            let start = Instant::now();
            let output = monovisor(path).args([subcommand, image]).output().unwrap();
            check_failure(&output, code, expected);
            assert!(start.elapsed() < Duration::from_secs(5), "{image}");
        }
    }
    let output = monovisor(path).args(["inspect", "--flat=0x1000", "huge"]).output().unwrap();
    check_failure(&output, 126, "not within the guest's RAM");
}

#[test]
fn an_unreadable_file() {
    let directory = temporary();
    let path = directory.path().join("secret");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        return; // The superuser can read everything.
    }
    let output = monovisor(directory.path()).args(["inspect", "secret"]).output().unwrap();
    check_failure(&output, 126, "cannot be read");
}

#[test]
fn odd_file_names_work() {
    let directory = temporary();
    let names: [&[u8]; 5] = [b"a b", b"--x", b"\xff\xfe", b"k=v", "kérnel".as_bytes()];
    for name in names {
        let name = std::ffi::OsStr::from_bytes(name);
        fs::write(directory.path().join(name), Elf::new_64(vec![code()]).build()).unwrap();
        let relative = Path::new(".").join(name);
        let output = monovisor(directory.path()).arg("inspect").arg(relative).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("boots by ELF"), "{name:?}: {said}");
    }
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let directory = temporary();
    fs::write(directory.path().join("image"), Elf::new_64(vec![code()]).build()).unwrap();
    fs::write(directory.path().join("monovisor.toml"), "memory = '8M'\n").unwrap();
    fs::write(directory.path().join("other.toml"), "memory = '4M'\n").unwrap();
    let memory = |configure: &dyn Fn(&mut Command) -> &mut Command| {
        let mut command = monovisor(directory.path());
        let output = configure(command.args(["inspect", "image"])).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.split(" KiB").next().and_then(|said| said.rsplit(' ').next()).unwrap().to_owned()
    };
    assert_eq!(memory(&|command| command), "8192");
    assert_eq!(memory(&|command| command.arg("--config=other.toml")), "4096");
    assert_eq!(memory(&|command| command.env("MONOVISOR_CONFIG", "other.toml")), "4096");
    assert_eq!(memory(&|command| command.env("MONOVISOR_MEMORY", "16M")), "16384");
    let both = |command: &mut Command| {
        command.env("MONOVISOR_MEMORY", "16M").arg("--memory=32M");
    };
    assert_eq!(
        memory(&|command| {
            both(command);
            command
        }),
        "32768"
    );
}

#[test]
fn settings_that_are_wrong() {
    let directory = temporary();
    fs::write(directory.path().join("image"), Elf::new_64(vec![code()]).build()).unwrap();
    let run = |configure: &dyn Fn(&mut Command)| {
        let mut command = monovisor(directory.path());
        command.args(["inspect", "image"]);
        configure(&mut command);
        command.output().unwrap()
    };
    let output = run(&|command| {
        command.arg("--config=missing.toml");
    });
    check_failure(&output, 2, "cannot read the configuration file missing.toml");
    let output = run(&|command| {
        command.env("MONOVISOR_MEMROY", "1G");
    });
    check_failure(&output, 2, "the environment variable MONOVISOR_MEMROY is unknown");
    let output = run(&|command| {
        command.arg("--memory=1M");
    });
    check_failure(&output, 2, "1048576 bytes of memory are not possible");
    fs::write(directory.path().join("monovisor.toml"), "memory = '8M'\nspeed = 11\n").unwrap();
    check_failure(&run(&|_| {}), 2, "unknown field `speed`");
    fs::remove_file(directory.path().join("monovisor.toml")).unwrap();

    for arguments in [["--memory=lots"], ["--timeout=5"], ["--accel=hvf"], ["--flat=x"]] {
        let output = run(&|command| {
            command.args(arguments);
        });
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

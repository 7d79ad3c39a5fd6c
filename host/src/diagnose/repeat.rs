//! The command that repeats a run: the arguments as they were given and the environment that
//! configured them, quoted for a POSIX shell.

use std::env;
use std::ffi::{OsStr, OsString};

/// Variables with this prefix configure monovisor, so they are part of the command.
const VARIABLE_PREFIX: &str = "MONOVISOR_";

/// The command line of this process.
pub fn command() -> String {
    let mut variables: Vec<_> = env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with(VARIABLE_PREFIX)))
        .collect();
    variables.sort();
    command_line(&variables, env::args_os())
}

/// `NAME=value … program arguments …`
fn command_line(
    variables: &[(OsString, OsString)],
    arguments: impl Iterator<Item = OsString>,
) -> String {
    let assignments = variables
        .iter()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), quote(value)));
    let words = arguments.map(|argument| quote(&argument));
    assignments.chain(words).collect::<Vec<_>>().join(" ")
}

/// One shell word that stands for `argument`, on one line and printable whatever it holds.
fn quote(argument: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+=./:,@%".contains(byte);
    let bytes = argument.as_encoded_bytes();
    match argument.to_str() {
        Some(text) if !bytes.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            // What is not text is written in the escapes of `$'…'`, which POSIX 2024 defines.
            let escaped = bytes.iter().flat_map(|&byte| std::ascii::escape_default(byte));
            format!("$'{}'", escaped.map(char::from).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        let words = ["monovisor", "run", "--memory=64M", "./kernel.elf"].map(OsString::from);
        assert_eq!(
            command_line(&[("MONOVISOR_ACCEL".into(), "interp".into())], words.into_iter()),
            "MONOVISOR_ACCEL=interp monovisor run --memory=64M ./kernel.elf"
        );
    }

    #[test]
    fn other_words_are_quoted() {
        for (word, quoted) in
            [("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'"), ("é", "'é'")]
        {
            assert_eq!(quote(OsStr::new(word)), quoted);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        use std::os::unix::ffi::OsStrExt;

        let words: [&[u8]; 6] = [
            b"",
            b"a 'b' \"c\" $d `e` \\f",
            b"line\nbreak\ttab",
            b"\xff\xfe",
            b"\x1b[2J'",
            b"*?~!",
        ];
        for word in words {
            let quoted = quote(OsStr::from_bytes(word));
            assert!(!quoted.chars().any(char::is_control), "{quoted}");
            let script = format!("printf %s {quoted}");
            let Ok(output) = Command::new("bash").args(["-c", &script]).output() else { return };
            assert_eq!(output.stdout, word, "{quoted}");
        }
    }
}

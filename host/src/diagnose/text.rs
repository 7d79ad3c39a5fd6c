//! Words from outside (symbols, paths, command lines) made fit for a terminal. An image may be
//! hostile: its names must not move the cursor, change colours or fill the screen.

/// `text` without control characters and direction overrides, at most `limit` characters long.
pub fn printable(text: &str, limit: usize) -> String {
    let mut characters = text.chars().map(|character| match character {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        _ if character.is_control() => '?',
        _ => character,
    });
    let mut kept: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// The names of the bits that are set in `value`, lowest first, separated by spaces.
pub fn flags(value: u64, names: &[(u32, &str)]) -> String {
    let set = names.iter().filter(|(bit, _)| value >> bit & 1 != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_length_are_tamed() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}", 80), "a?[2Jb??");
        assert_eq!(printable("abcdef", 6), "abcdef");
        assert_eq!(printable("abcdefg", 6), "abcde…");
        assert_eq!(printable("", 0), "");
    }

    #[test]
    fn set_bits_are_named() {
        assert_eq!(flags(0b101, &[(0, "CF"), (1, "?"), (2, "PF")]), "CF PF");
        assert_eq!(flags(0, &[(0, "CF")]), "");
    }
}

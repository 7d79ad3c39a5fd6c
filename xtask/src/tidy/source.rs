//! A Rust file taken apart into code and comments, line by line.
//!
//! Rules that look for words must not find them in strings or in the wrong half, so the text is
//! split once: `code` and `comment` have the file's lines, each blank where the other is not, and
//! what stands within quotes is blank in both. This is a scanner, not a parser: it knows comments,
//! strings, characters and lifetimes, and nothing else of the language.

/// A Rust file, split.
#[derive(Debug)]
pub struct Source {
    /// The path from the root.
    pub path: String,
    /// The lines as they are.
    pub lines: Vec<String>,
    /// The lines' code, with strings emptied.
    pub code: Vec<String>,
    /// The lines' comments, with their slashes.
    pub comment: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    LineComment,
    BlockComment {
        depth: u32,
    },
    String,
    /// Ends at a quote with so many `#`.
    RawString {
        hashes: usize,
    },
}

impl Source {
    /// Splits a text.
    pub fn new(path: &str, text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let (mut code, mut comment) = (String::new(), String::new());
        let mut part = Part::Code;
        let mut at = 0;
        while let Some(&character) = characters.get(at) {
            let rest = &characters[at..];
            if character == '\n' {
                code.push('\n');
                comment.push('\n');
                if part == Part::LineComment {
                    part = Part::Code;
                }
                at += 1;
                continue;
            }
            let (next, length) = step(part, rest, code.chars().next_back());
            let in_comment = |part| matches!(part, Part::LineComment | Part::BlockComment { .. });
            for &character in &rest[..length] {
                // A string's own quotes stay, so that code keeps its shape.
                let of_code = part == Part::Code && !in_comment(next)
                    || next == Part::Code && character == '"';
                let of_comment = in_comment(part) || in_comment(next);
                code.push(if of_code && !of_comment { character } else { ' ' });
                comment.push(if of_comment { character } else { ' ' });
            }
            part = next;
            at += length;
        }
        let split = |text: &str| text.lines().map(str::to_owned).collect();
        Self {
            path: path.to_owned(),
            lines: split(text),
            code: split(&code),
            comment: split(&comment),
        }
    }

    /// The code with every `#[cfg(test)] mod … { … }` emptied: tests live on no floor. A file of
    /// tests has none left.
    pub fn code_without_tests(&self) -> Vec<String> {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return vec![String::new(); self.code.len()];
        }
        let mut code = self.code.clone();
        let mut line = 0;
        while line < code.len() {
            // The attribute, then `mod`, on lines of their own: rustfmt sees to that.
            let begins = code[line].trim() == "#[cfg(test)]"
                && code.get(line + 1).is_some_and(|next| next.trim_start().contains("mod "));
            if !begins {
                line += 1;
                continue;
            }
            let mut depth = 0i32;
            loop {
                let text = std::mem::take(&mut code[line]);
                let closes = text.matches('}').count() as i32;
                let opens = text.matches('{').count() as i32;
                depth += opens - closes;
                line += 1;
                let over = opens + closes > 0 && depth <= 0 || text.ends_with(';');
                if over || line >= code.len() {
                    break;
                }
            }
        }
        code
    }
}

/// What part the text that begins `rest` is in, and how many characters of it to take with it.
fn step(part: Part, rest: &[char], before: Option<char>) -> (Part, usize) {
    let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.chars().count()));
    match part {
        Part::Code if starts("//") => (Part::LineComment, 2),
        Part::Code if starts("/*") => (Part::BlockComment { depth: 1 }, 2),
        Part::Code if starts("\"") => (Part::String, 1),
        Part::Code if starts("'") => (Part::Code, character_length(rest)),
        Part::Code => match raw_string_hashes(rest, before) {
            Some((hashes, length)) => (Part::RawString { hashes }, length),
            None => (Part::Code, 1),
        },
        Part::LineComment => (Part::LineComment, 1),
        Part::BlockComment { depth } if starts("/*") => {
            (Part::BlockComment { depth: depth + 1 }, 2)
        }
        Part::BlockComment { depth: 1 } if starts("*/") => (Part::Code, 2),
        Part::BlockComment { depth } if starts("*/") => {
            (Part::BlockComment { depth: depth - 1 }, 2)
        }
        Part::BlockComment { .. } => (part, 1),
        // An escaped end of line stays for the main loop, which counts the lines.
        Part::String if starts("\\") && rest.get(1).is_some_and(|&next| next != '\n') => (part, 2),
        Part::String if starts("\"") => (Part::Code, 1),
        Part::String => (part, 1),
        Part::RawString { hashes } => {
            let ends =
                starts("\"") && rest[1..].iter().take_while(|&&next| next == '#').count() >= hashes;
            if ends { (Part::Code, 1 + hashes) } else { (part, 1) }
        }
    }
}

/// `r"`, `r#"`, `br"`, `cr#"` …: the number of `#` and the length of all up to the quote.
fn raw_string_hashes(rest: &[char], before: Option<char>) -> Option<(usize, usize)> {
    if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
        return None;
    }
    let prefix = usize::from(matches!(rest[0], 'b' | 'c'));
    if rest.get(prefix) != Some(&'r') {
        return None;
    }
    let hashes = rest[prefix + 1..].iter().take_while(|&&next| next == '#').count();
    (rest.get(prefix + 1 + hashes) == Some(&'"')).then_some((hashes, prefix + 2 + hashes))
}

/// The length of a character literal, or 1 for the quote of a lifetime.
fn character_length(rest: &[char]) -> usize {
    match rest {
        [_, '\\', ..] => {
            3 + rest[3.min(rest.len())..].iter().take_while(|&&next| next != '\'').count() + 1
        }
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
    .min(rest.len())
}

/// Whether `text` has `word` as a word of its own, and where.
pub fn find_word(text: &str, word: &str) -> Option<usize> {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        !text[..at].chars().next_back().is_some_and(of_word)
            && !text[at + word.len()..].chars().next().is_some_and(of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_no_code() {
        let source = Source::new(
            "x",
            "let a = \"// no\"; // yes \"\nlet b = 'x'; /* in /* two */ still */ c",
        );
        assert_eq!(source.code[0].trim_end(), "let a = \"     \";");
        assert_eq!(source.comment[0].trim(), "// yes \"");
        assert_eq!(
            source.code[1].split_whitespace().collect::<Vec<_>>(),
            ["let", "b", "=", "'x';", "c"]
        );
        assert_eq!(source.comment[1].trim(), "/* in /* two */ still */");
    }

    #[test]
    fn raw_strings_escapes_and_lifetimes_do_not_confuse_it() {
        let source = Source::new(
            "x",
            "a(r#\"unsafe \" quote\"#, \"\\\" unsafe\", '\"', '\\'', '\\u{7f}', &'a str) // end\nb",
        );
        assert!(!source.code[0].contains("unsafe"), "{}", source.code[0]);
        assert!(source.code[0].contains("&'a str)"), "{}", source.code[0]);
        assert_eq!(source.comment[0].trim(), "// end");
        assert_eq!(source.code[1], "b");
    }

    #[test]
    fn a_string_over_two_lines_keeps_the_lines_apart() {
        let source = Source::new("x", "a(\"one \\\n unsafe\");\nb");
        assert_eq!(source.code.len(), 3);
        assert!(!source.code[1].contains("unsafe"));
        assert_eq!(source.code[2], "b");
    }

    #[test]
    fn tests_are_left_out_and_what_follows_is_not() {
        let text = "a\n#[cfg(test)]\nmod tests {\n fn f() { g }\n}\nb\n#[cfg(test)]\nmod t;\nc";
        let code = Source::new("x", text).code_without_tests();
        assert_eq!(code.join(" ").split_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(Source::new("core/src/x/tests.rs", text).code_without_tests().concat(), "");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(find_word("an unsafe_op unsafe {", "unsafe"), Some(13));
        assert_eq!(find_word("unsafely", "unsafe"), None);
    }
}

//! Who may not know whom, beyond what the packages' own borders and core's floors forbid.

use super::source::find_word;
use super::{Tree, Violation};

/// Words that a part of the house must not use outside its tests.
struct Seam {
    /// What the rule holds for: paths that begin so.
    within: &'static str,
    /// What it does not hold for.
    except: &'static [&'static str],
    /// Not to be found in code, each as a whole word or path.
    words: &'static [&'static str],
    /// Why, and what to do.
    what: &'static str,
}

const SEAMS: &[Seam] = &[
    Seam {
        within: "host/src/",
        // The engines make what the run loop matches.
        except: &["host/src/run_loop", "host/src/engine"],
        words: &["Exit::"],
        what: "the run loop is the only match on `Exit`: let it call what is needed here",
    },
    Seam {
        within: "host/src/device/",
        except: &[],
        words: &["Engine", "crate::engine", "crate::run_loop", "crate::vm", "crate::boot"],
        what: "a device knows no engine and no machine: hand in what it needs when it is made",
    },
    Seam {
        within: "xtask/",
        except: &[],
        words: &["monovisor::", "monovisor_core::"],
        what: "xtask starts monovisor as a program, as a user would, and does not link it",
    },
    Seam {
        within: "guest-tests/",
        except: &[],
        words: &["monovisor::", "monovisor_core::"],
        what: "a guest runs on any machine, and must not know this one",
    },
];

/// Checks all Rust files.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for seam in SEAMS {
        let sources = tree.below(seam.within);
        for source in
            sources.filter(|source| !seam.except.iter().any(|path| source.path.starts_with(path)))
        {
            for (index, code) in source.code_without_tests().iter().enumerate() {
                if let Some(word) = seam.words.iter().find(|word| has(code, word)) {
                    let what = format!("`{word}` here: {}", seam.what);
                    violations.push(Violation::new(&source.path, index + 1, what));
                }
            }
        }
    }
    violations
}

/// Whether code uses a word, or a path that is given with its last `::`.
fn has(code: &str, word: &str) -> bool {
    if !word.ends_with("::") {
        return find_word(code, word).is_some();
    }
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(of_word))
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn only_the_run_loop_matches_exits() {
        let text =
            "match exit {\n    Exit => Exit::Halted,\n    DebugExit::Raw => {}\n}\nuse x::Exit;";
        let files = [
            ("host/src/vm.rs", text),
            ("host/src/run_loop.rs", text),
            ("host/src/engine/kvm/mod.rs", text),
        ];
        assert_eq!(places(check, &files), ["host/src/vm.rs:2"]);
    }

    #[test]
    fn devices_know_no_engine() {
        let files = [
            ("host/src/device/rtc.rs", "use crate::engine::Any;"),
            ("host/src/device/pic.rs", "fn f(engine: &dyn Engine) {}"),
            ("host/src/device/pit.rs", "// The Engine calls it.\nfn engine() {}"),
        ];
        assert_eq!(places(check, &files), ["host/src/device/pic.rs:1", "host/src/device/rtc.rs:1"]);
    }

    #[test]
    fn xtask_and_guests_link_neither_core_nor_host() {
        let text = "use monovisor_core::Exit;";
        let files = [
            ("xtask/src/run.rs", text),
            ("guest-tests/src/lib.rs", text),
            ("host/src/vm.rs", text),
        ];
        assert_eq!(places(check, &files), ["guest-tests/src/lib.rs:1", "xtask/src/run.rs:1"]);
    }
}

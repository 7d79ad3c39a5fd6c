//! The floors of `core`: an import runs down only, and there is no circle.
//!
//! Seen are `use crate::…`, paths that begin with `crate::` or `$crate::` in code, and `super::`
//! paths that climb to the root. A name that `lib.rs` re-exports counts as its module's. Tests and
//! documentation live on no floor.

use std::collections::BTreeMap;

use super::source::Source;
use super::{Tree, Violation};

/// From the ground up. A module imports from its own floor or a lower one.
const FLOORS: &[&[&str]] = &[
    &["state", "memory", "bus", "clock", "sync", "error", "apic", "exit"],
    &["paging", "exclusive", "cpuid"],
    &["interrupt"],
    &["engine"],
    &["execute"],
    &["translate"],
    &["vcpu"],
];

const ROOT: &str = "core/src/";

/// One module uses another, here.
struct Import<'a> {
    from: String,
    to: String,
    source: &'a Source,
    line: usize,
}

/// Checks `core/src`.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let exports = re_exports(tree);
    let imports: Vec<Import> = tree
        .below(ROOT)
        .filter(|source| source.path != "core/src/lib.rs")
        .flat_map(|source| imports(source, &exports))
        .collect();
    let mut violations = Vec::new();
    for source in tree.below(ROOT).filter(|source| source.path != "core/src/lib.rs") {
        let (module, depth) = place(&source.path);
        let is_its_first_file = depth == 1;
        if is_its_first_file && floor(&module).is_none() {
            let what =
                format!("module `{module}` has no floor: give it one in xtask/src/tidy/floors.rs");
            violations.push(Violation::new(&source.path, 1, what));
        }
    }
    for import in &imports {
        let (Some(from), Some(to)) = (floor(&import.from), floor(&import.to)) else { continue };
        if to > from {
            let what = format!(
                "`{}` imports from `{}`, which is a floor above it: move what both need down, or \
                 hand it in as an argument",
                import.from, import.to
            );
            violations.push(Violation::new(&import.source.path, import.line, what));
        }
    }
    violations.extend(circles(&imports));
    violations
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The top module that a file belongs to, and how deep below the root its module is.
fn place(path: &str) -> (String, usize) {
    let path = path.trim_start_matches(ROOT).trim_end_matches(".rs").trim_end_matches("/mod");
    let module = path.split('/').next().unwrap_or_default().to_owned();
    (module, path.split('/').count())
}

/// Which module each name comes from that `lib.rs` passes on.
fn re_exports(tree: &Tree) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for lib in tree.below("core/src/lib.rs") {
        let text = lib.code_without_tests().join(" ");
        for statement in text.split(';').filter_map(|text| text.split_once("pub use ")) {
            let path = statement.1.trim().trim_start_matches("crate::");
            let Some((module, names)) = path.split_once("::") else { continue };
            for name in names
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|name| !name.is_empty())
            {
                exports.insert(name.to_owned(), module.to_owned());
            }
        }
    }
    exports
}

/// The modules that a file uses, each place once.
fn imports<'a>(source: &'a Source, exports: &BTreeMap<String, String>) -> Vec<Import<'a>> {
    let (from, depth) = place(&source.path);
    let code = source.code_without_tests();
    let text = code.join("\n");
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    let mut imports = Vec::new();
    let mut add = |at: usize, name: &str| {
        let to = match exports.get(name) {
            _ if floor(name).is_some() => name,
            Some(module) => module,
            None => return,
        };
        if to != from {
            imports.push(Import {
                from: from.clone(),
                to: to.to_owned(),
                source,
                line: line_of(at),
            });
        }
    };
    for (at, prefix) in text.match_indices("crate::") {
        let begins = at == 0 || !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if begins {
            for (offset, name) in heads(&text[at + prefix.len()..]) {
                add(at + prefix.len() + offset, &name);
            }
        }
    }
    let climb = "super::".repeat(depth);
    for (at, prefix) in text.match_indices(climb.as_str()) {
        let begins = !text[..at].ends_with("super::");
        if begins && !text[at + prefix.len()..].starts_with("super::") {
            for (offset, name) in heads(&text[at + prefix.len()..]) {
                add(at + prefix.len() + offset, &name);
            }
        }
    }
    imports
}

/// The first names of a path's rest: one for `a::b`, several for `{a::b, c}`.
fn heads(rest: &str) -> Vec<(usize, String)> {
    let word = |at: usize| -> String {
        rest[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    if !rest.starts_with('{') {
        return vec![(0, word(0))];
    }
    let mut names = Vec::new();
    let (mut depth, mut expects) = (0, false);
    for (at, character) in rest.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match character {
            '{' | ',' if depth == 1 => expects = true,
            _ if expects && !character.is_whitespace() => {
                names.push((at, word(at)));
                expects = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// One violation for each circle, at an import that closes it.
fn circles(imports: &[Import]) -> Vec<Violation> {
    let mut graph: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
    for import in imports {
        graph.entry(&import.from).or_default().entry(&import.to).or_insert(import);
    }
    let mut violations = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for start in graph.keys() {
        visit(start, &graph, &mut vec![start], &mut done, &mut violations);
    }
    violations
}

fn visit<'a>(
    module: &'a str,
    graph: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import<'a>>>,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    violations: &mut Vec<Violation>,
) {
    if done.contains(&module) {
        return;
    }
    for (&next, import) in graph.get(module).into_iter().flatten() {
        if let Some(begin) = path.iter().position(|&earlier| earlier == next) {
            let circle = [&path[begin..], &[next]].concat().join(" → ");
            let what = format!("the imports run in a circle, {circle}: move what both need down");
            violations.push(Violation::new(&import.source.path, import.line, what));
        } else {
            path.push(next);
            visit(next, graph, path, done, violations);
            path.pop();
        }
    }
    done.push(module);
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn imports_run_down() {
        let files = [
            ("core/src/lib.rs", "pub use vcpu::{Vcpu, Other};\npub use state::CpuState;"),
            (
                "core/src/execute/mod.rs",
                "use crate::{\n    paging::{walk, tlb},\n    CpuState,\n};\nuse crate::state::gpr;",
            ),
            (
                "core/src/state/mod.rs",
                "/// [`x`](crate::vcpu::Vcpu)\nuse core::fmt; // crate::vcpu",
            ),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }

    #[test]
    fn an_import_from_above_is_found_in_every_spelling() {
        for text in [
            "use crate::translate::cache;",
            "use crate::{translate, state};",
            "fn f() { crate::translate::cache() }",
            "fn f() { $crate::translate::cache() }",
            "use super::super::translate::cache;",
            "use crate::Vcpu;",
            "pub(crate) use crate::vcpu::Vcpu;",
        ] {
            let files =
                [("core/src/lib.rs", "pub use vcpu::Vcpu;"), ("core/src/execute/logical.rs", text)];
            assert_eq!(places(check, &files), ["core/src/execute/logical.rs:1"], "{text}");
        }
        let text = "use crate::{\n    state,\n    vcpu,\n};";
        assert_eq!(
            places(check, &[("core/src/execute/logical.rs", text)]),
            ["core/src/execute/logical.rs:3"]
        );
    }

    #[test]
    fn what_is_no_import_is_let_be() {
        let text = "use super::translate;\nuse other_crate::vcpu::X;\n#[cfg(test)]\nmod tests {\n    use crate::vcpu::Vcpu;\n}";
        assert_eq!(places(check, &[("core/src/execute/logical.rs", text)]), [""; 0]);
    }

    #[test]
    fn a_circle_on_one_floor_is_found_once() {
        let files = [
            ("core/src/state/mod.rs", "use crate::memory::Ram;"),
            ("core/src/memory.rs", "use core::fmt;\nuse crate::bus::Bus;"),
            ("core/src/bus.rs", "use crate::state::CpuState;"),
        ];
        assert_eq!(places(check, &files).len(), 1);
    }

    #[test]
    fn a_new_module_needs_a_floor() {
        assert_eq!(places(check, &[("core/src/cellar/mod.rs", "")]), ["core/src/cellar/mod.rs:1"]);
        assert_eq!(places(check, &[("core/src/attic.rs", "")]), ["core/src/attic.rs:1"]);
        assert_eq!(places(check, &[("core/src/state/attic.rs", "")]), [""; 0]);
    }
}

//! Every package takes its lints from the workspace's one table.

use super::{Tree, Violation};

/// Checks the manifests of the packages.
pub fn check(tree: &Tree) -> Vec<Violation> {
    tree.files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        // A fuzz crate is built by its own tool, outside the workspace.
        .filter(|file| !file.path.contains("/fuzz/"))
        .filter(|file| !inherits_lints(&file.text))
        .map(|file| {
            let what = "does not take the workspace's lints: add `[lints]` with `workspace = true`";
            Violation::new(&file.path, file.text.lines().count().max(1), what)
        })
        .collect()
}

fn inherits_lints(manifest: &str) -> bool {
    let mut table = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            table = line;
        }
        let words: String = line.split_whitespace().collect();
        table == "[lints]" && words == "workspace=true" || words == "lints.workspace=true"
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn a_package_with_lints_of_its_own_is_found() {
        let files = [
            ("Cargo.toml", "[workspace.lints.rust]"),
            ("core/Cargo.toml", "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"),
            ("host/Cargo.toml", "[lints.rust]\nworkspace = true\n"),
            ("core/fuzz/Cargo.toml", ""),
        ];
        assert_eq!(places(check, &files), ["host/Cargo.toml:2"]);
    }
}

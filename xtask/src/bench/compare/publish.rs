//! Puts a comparison into README, so that what stands there is one real run: its table between two
//! marks, its picture in a file beside.

use std::path::Path;

use anyhow::{Context, Result};

use super::comparison::Comparison;
use super::{markdown, picture, write};
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- written by `cargo xtask bench compare --publish` -->\n";
const END: &str = "<!-- so far -->\n";
/// The picture's folder and name, from the root.
const FOLDER: &str = "xtask/reports";
const PICTURE: &str = "compare.svg";

/// Writes both.
pub fn publish(workspace: &Workspace, comparison: &Comparison) -> Result<()> {
    let folder = workspace.root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    write(&folder, PICTURE, &picture::draw(comparison))?;
    let path = workspace.root.join("README.md");
    let readme =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let text = format!(
        "\n{}\n![Speed beside QEMU]({FOLDER}/{PICTURE})\n\n",
        markdown::summary(comparison)
    );
    let readme = replace(&readme, &text).context("README.md has lost its marks")?;
    write(path.parent().unwrap_or(Path::new(".")), "README.md", &readme)
}

/// `readme` with `text` between the marks; `None` if they are not there.
fn replace(readme: &str, text: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let readme = format!("a\n{BEGIN}old\n{END}b\n");
        let once = replace(&readme, "new\n").expect("marks");
        assert_eq!(once, format!("a\n{BEGIN}new\n{END}b\n"));
        assert_eq!(replace(&once, "new\n"), Some(once.clone()));
        assert_eq!(replace("without", "new"), None);
        assert!(replace(include_str!("../../../../README.md"), "").is_some());
    }
}

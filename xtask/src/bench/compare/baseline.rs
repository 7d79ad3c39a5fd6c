//! What has changed since an earlier comparison.

use std::path::Path;

use anyhow::{Context, Result};

use super::LEAST_ROUNDS;
use super::comparison::{Comparison, Figure, vcpus};

/// A change of one figure.
pub struct Change {
    /// The variant, its processors and the contender.
    pub what: String,
    /// The new rate over the old one.
    pub ratio: f64,
    /// The two ranges do not touch; `None` if there were too few runs for ranges that say something.
    pub exceeds_noise: Option<bool>,
}

/// Reads an earlier report.
pub fn read(path: &Path) -> Result<Comparison> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the baseline {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not a report.json of `bench compare`", path.display()))
}

/// Every figure that both have: what exceeds the noise before the rest, the greatest change first.
pub fn compare(old: &Comparison, new: &Comparison) -> Vec<Change> {
    let change = |figure: &Figure| {
        let mut before = old.of(&figure.variant, figure.cpus);
        let before = before.find(|one| one.contender == figure.contender)?;
        let enough = before.runs.min(figure.runs) >= LEAST_ROUNDS;
        let (before, after) = (&before.rate, &figure.rate);
        Some(Change {
            what: format!("{}, {}, {}", figure.variant, vcpus(figure.cpus), figure.contender),
            ratio: after.median / before.median,
            exceeds_noise: enough.then_some(after.min > before.max || after.max < before.min),
        })
    };
    let mut changes: Vec<Change> = new.results.iter().filter_map(change).collect();
    changes.sort_by(|one, other| {
        let size = |change: &Change| change.ratio.ln().abs();
        let exceeding = other.exceeds_noise.cmp(&one.exceeds_noise);
        exceeding.then(size(other).total_cmp(&size(one)))
    });
    changes
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::example;
    use super::*;

    #[test]
    fn what_changed_beyond_the_ranges_exceeds_the_noise() {
        let (old, mut new) = (example(), example());
        let rate = &mut new.results[0].rate;
        (rate.min, rate.median, rate.max) = (rate.min * 2.0, rate.median * 2.0, rate.max * 2.0);
        let changes = compare(&old, &new);
        assert_eq!(changes.len(), new.results.len());
        assert_eq!(changes[0].exceeds_noise, Some(true));
        assert!((changes[0].ratio - 2.0).abs() < 1e-9);
        assert!(changes[1..].iter().all(|change| change.exceeds_noise == Some(false)));
        new.results[0].runs = 1;
        assert_eq!(compare(&old, &new).last().expect("a change").exceeds_noise, None);
    }

    #[test]
    fn a_report_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        std::fs::write(&path, serde_json::to_string(&example()).expect("JSON")).expect("a file");
        assert_eq!(read(&path).expect("a report").results.len(), example().results.len());
        std::fs::write(&path, "{}").expect("a file");
        let error = format!("{:#}", read(&path).expect_err("no report"));
        assert!(error.contains("report.json"), "{error}");
    }
}

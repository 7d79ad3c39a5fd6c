//! Figures that stand for many: median and range, geometric mean.

use serde::{Deserialize, Serialize};

/// Median, least and greatest of some values.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Spread {
    /// Half of the values are below it.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Self { median, min, max })
    }

    /// `median [min..max]`, multiplied by `scale`.
    pub fn show(&self, scale: f64, decimals: usize) -> String {
        let Self { median, min, max } = self;
        format!(
            "{:.decimals$} [{:.decimals$}..{:.decimals$}]",
            median * scale,
            min * scale,
            max * scale
        )
    }
}

/// The geometric mean of at least one ratio.
pub fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = ratios.into_iter().map(f64::ln).collect();
    let count = logarithms.len();
    (count > 0).then(|| (logarithms.iter().sum::<f64>() / count as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_sorted_first() {
        assert_eq!(
            Spread::of(vec![3.0, 1.0, 2.0]),
            Some(Spread { median: 2.0, min: 1.0, max: 3.0 })
        );
        assert_eq!(Spread::of(vec![1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_mean_of_ratios_has_twice_and_half_cancel_out() {
        assert!((geometric_mean([2.0, 0.5, 8.0]).expect("a mean") - 2.0).abs() < 1e-9);
        assert_eq!(geometric_mean([]), None);
    }
}

//! Draws a report as an SVG bar chart: each guest's speed as a multiple of the other contender's.
//!
//! The scale is logarithmic, so that twice as fast and half as fast are as far from the middle.

use std::fmt::Write;

use super::report::{Contenders, Report};
use super::svg;

/// Where the bars' area begins, and how wide it is.
const LEFT: f64 = 190.0;
const WIDTH: f64 = 480.0;
/// The height of a row, and of the bar in it.
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Above the first row and below the last.
const HEAD: f64 = 64.0;
const FOOT: f64 = 66.0;

/// The chart as SVG text.
pub fn draw(report: &Report) -> String {
    let rows: Vec<_> = report
        .guests
        .iter()
        .filter_map(|guest| {
            Some((guest.name.as_str(), guest.measured.as_ref()?.ratio, guest.target))
        })
        .collect();
    let scale = Scale::holding(
        rows.iter()
            .flat_map(|(_, ratio, target)| [ratio.min, ratio.max].into_iter().chain(*target)),
    );
    let bottom = HEAD + ROW * rows.len() as f64;
    let Contenders { names, versions, processor, kernel } = &report.contenders;

    let mut svg = svg::begin(LEFT + WIDTH + 90.0, bottom + FOOT);
    let title = format!("Speed of {} as a multiple of {}'s (more is better)", names[0], names[1]);
    svg::label(&mut svg, 12.0, 24.0, "start", 15, &title);
    for power in scale.powers() {
        let x = scale.x(power);
        let colour = if power == 1.0 { "#555" } else { "#ddd" };
        let _ = writeln!(svg, "<path d='M{x:.1} {HEAD}V{bottom}' stroke='{colour}'/>");
        svg::label(&mut svg, x, HEAD - 8.0, "middle", 11, &format!("{power}×"));
    }
    for (index, (name, ratio, target)) in rows.iter().enumerate() {
        let top = HEAD + ROW * index as f64 + (ROW - BAR) / 2.0;
        let (from, to) =
            (scale.x(1.0).min(scale.x(ratio.median)), scale.x(1.0).max(scale.x(ratio.median)));
        let colour = if ratio.median >= 1.0 { "#2b7a4b" } else { "#b3543a" };
        svg::label(&mut svg, LEFT - 8.0, top + 12.0, "end", 12, name.trim_start_matches("bench_"));
        let _ = writeln!(
            svg,
            "<rect x='{from:.1}' y='{top:.1}' width='{:.1}' height='{BAR}' fill='{colour}'/>",
            to - from
        );
        // From the slowest pair to the fastest.
        let (low, high, middle) = (scale.x(ratio.min), scale.x(ratio.max), top + BAR / 2.0);
        let _ = writeln!(svg, "<path d='M{low:.1} {middle:.1}H{high:.1}' stroke='black'/>");
        if let Some(target) = target {
            let x = scale.x(*target);
            let _ = writeln!(
                svg,
                "<path d='M{x:.1} {top:.1}v{BAR}' stroke='#f0a020' stroke-width='2'/>"
            );
        }
        let label = format!("{:.2}×", ratio.median);
        svg::label(&mut svg, LEFT + WIDTH + 12.0, top + 12.0, "start", 12, &label);
    }
    let mean =
        report.geometric_mean.map_or(String::new(), |mean| format!("Geometric mean {mean:.2}×. "));
    let notes = [
        format!("{mean}Black: range of {} alternating pairs. Yellow: target.", report.pairs),
        format!("{}; {}", versions[0], versions[1]),
        format!("{processor}; {kernel}"),
    ];
    for (index, note) in notes.iter().enumerate() {
        svg::label(&mut svg, 12.0, bottom + 20.0 + 16.0 * index as f64, "start", 11, note);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Maps ratios to horizontal places, by their logarithm.
struct Scale {
    /// The powers of two at both ends.
    low: i32,
    high: i32,
}

impl Scale {
    /// Holds all these ratios, and one.
    fn holding(ratios: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (-1, 1);
        for ratio in ratios {
            low = low.min(ratio.log2().floor() as i32);
            high = high.max(ratio.log2().ceil() as i32);
        }
        Self { low, high }
    }

    fn x(&self, ratio: f64) -> f64 {
        let part = (ratio.log2() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + WIDTH * part
    }

    /// The ratios that get a line: few enough for their labels not to touch.
    fn powers(&self) -> impl Iterator<Item = f64> {
        let step = 1 + (self.high - self.low) / 10;
        (self.low..=self.high).filter(move |power| power % step == 0).map(|power| 2f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_measured_guest_has_a_bar() {
        let svg = draw(&sample());
        assert!(svg.contains(">fast</text>") && svg.contains(">slow</text>"), "{svg}");
        assert!(!svg.contains("broken"), "{svg}");
        assert_eq!(svg.matches("height='16'").count(), 2, "{svg}");
        assert_eq!(svg.matches("stroke='#f0a020'").count(), 1, "{svg}");
        assert!(svg.contains("a &lt;processor&gt;"), "{svg}");
    }

    #[test]
    fn twice_and_half_are_as_far_from_one() {
        let scale = Scale::holding([0.3, 5.0].into_iter());
        assert_eq!((scale.low, scale.high), (-2, 3));
        assert!((scale.x(2.0) - scale.x(1.0) - (scale.x(1.0) - scale.x(0.5))).abs() < 1e-9);
        assert_eq!(scale.x(8.0), LEFT + WIDTH);
        assert_eq!(scale.powers().collect::<Vec<_>>(), [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]);
    }
}

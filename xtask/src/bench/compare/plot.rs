//! Charts as SVG, for a page that is read in any width, and in the light or the dark: colours are
//! classes, and text has the page's colour.

use std::fmt::Write;

use crate::bench::svg::{self, escape};

/// The width of the drawing; the page scales it.
pub const WIDTH: f64 = 640.0;
/// Where the bars begin, and end at most; what lies behind is for their labels.
const LEFT: f64 = 8.0;
const RIGHT: f64 = 540.0;
const BAR: f64 = 14.0;
const HEAD: f64 = 20.0;

/// One bar: its series, its length's value, and what is written behind it.
pub struct Bar {
    /// The series' place in the legend, which gives the colour.
    pub series: usize,
    /// Above zero.
    pub value: f64,
    /// The value in words.
    pub label: String,
}

/// Groups of horizontal bars on one logarithmic scale.
pub fn bars(title: &str, groups: &[(String, Vec<Bar>)]) -> String {
    let values = || groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.value);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(0.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value.log10() - low) / (high - low);
    let rows: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let height = groups.len() as f64 * (HEAD + 6.0) + rows as f64 * BAR + 6.0;
    let mut svg = begin(title, height);
    let mut decade = low;
    while decade <= high {
        let place = x(10f64.powf(decade));
        let _ = writeln!(svg, "<path class='grid' d='M{place:.1} 0V{height:.1}'/>");
        decade += 1.0;
    }
    let mut y = 0.0;
    for (name, bars) in groups {
        y += HEAD;
        text(&mut svg, LEFT, y - 5.0, "head", name);
        for bar in bars {
            // A bar that stands at the scale's end is still seen.
            let end = x(bar.value).max(LEFT + 2.0);
            let _ = writeln!(
                svg,
                "<rect class='s{}' x='{LEFT}' y='{y:.1}' width='{:.1}' height='{:.1}'/>",
                bar.series,
                end - LEFT,
                BAR - 2.0
            );
            text(&mut svg, end + 5.0, y + BAR - 4.0, "label", &bar.label);
            y += BAR;
        }
        y += 6.0;
    }
    svg + "</svg>\n"
}

/// A line for each series over a few steps; both axes are linear from zero.
pub fn lines(title: &str, steps: &[f64], series: &[(usize, Vec<f64>)]) -> String {
    const HEIGHT: f64 = 300.0;
    const BOTTOM: f64 = 270.0;
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::max);
    let (last, top) = (
        most(&mut steps.iter().copied()),
        most(&mut series.iter().flat_map(|(_, values)| values).copied()),
    );
    let x = |step: f64| 40.0 + (RIGHT - 40.0) * step / last;
    let y = |value: f64| BOTTOM - (BOTTOM - 15.0) * value / top;
    let mut svg = begin(title, HEIGHT);
    for step in steps {
        let _ = writeln!(svg, "<path class='grid' d='M{:.1} 15V{BOTTOM}'/>", x(*step));
        text(&mut svg, x(*step) - 4.0, BOTTOM + 18.0, "label", &format!("{step}"));
    }
    for value in [0.0, 1.0, top] {
        let _ = writeln!(svg, "<path class='grid' d='M40 {:.1}H{RIGHT}'/>", y(value));
        text(&mut svg, 4.0, y(value) + 4.0, "label", &format!("{value:.1}×"));
    }
    for (place, values) in series {
        let points: Vec<String> = steps
            .iter()
            .zip(values)
            .map(|(step, value)| format!("{:.1},{:.1}", x(*step), y(*value)))
            .collect();
        let _ = writeln!(svg, "<polyline class='l{place}' points='{}'/>", points.join(" "));
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64) -> String {
    let title = escape(title);
    format!("<svg viewBox='0 0 {WIDTH} {height:.0}' role='img' aria-label='{title}'>\n")
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    svg::text(svg, x, y, &format!("class='{class}'"), words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(svg: &str, series: usize) -> f64 {
        let rect = svg.lines().find(|line| line.contains(&format!("class='s{series}'")));
        let (_, rest) = rect.expect("a bar").split_once("width='").expect("a width");
        rest.split('\'').next().expect("a number").parse().expect("a number")
    }

    #[test]
    fn bars_grow_with_the_logarithm() {
        let bar = |series, value| Bar { series, value, label: "<1>".into() };
        let svg = bars("t", &[("g".into(), vec![bar(0, 1.0), bar(1, 10.0), bar(2, 100.0)])]);
        assert!((width(&svg, 2) - 2.0 * width(&svg, 1)).abs() < 0.2, "{svg}");
        assert!(width(&svg, 0) > 0.0 && svg.contains("&lt;1&gt;"));
    }

    #[test]
    fn every_series_has_a_line() {
        let svg =
            lines("t", &[1.0, 2.0, 4.0], &[(0, vec![1.0, 2.0, 4.0]), (3, vec![1.0, 1.0, 1.0])]);
        assert!(svg.contains("class='l0'") && svg.contains("class='l3'"), "{svg}");
    }
}

//! Charts as SVG, for a page that is read in any width, and in the light or the dark: colours are
//! classes, and text has the page's colour.

use std::fmt::Write;

use crate::bench::svg::{self, escape};

/// The width of the drawing: about that of a phone, on which text keeps its size.
pub const WIDTH: f64 = 400.0;
/// Where the bars begin, and end at most; what lies behind is for their labels.
const LEFT: f64 = 8.0;
const RIGHT: f64 = 340.0;
const BAR: f64 = 14.0;
const HEAD: f64 = 20.0;
/// Of the scale's own labels, above the first group.
const AXIS: f64 = 14.0;

/// One bar: its series, its length's value, and what is written behind it.
pub struct Bar {
    /// The series' place in the legend, which gives the colour.
    pub series: usize,
    /// Above zero.
    pub value: f64,
    /// The value in words.
    pub label: String,
}

/// Groups of horizontal bars on one logarithmic scale, whose powers of ten are written by `power`. Bars
/// begin at `base`, to either side, or else at the scale's end.
pub fn bars(
    title: &str,
    base: Option<f64>,
    power: fn(f64) -> String,
    groups: &[(String, Vec<Bar>)],
) -> String {
    let values = || groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.value).chain(base);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(0.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value.log10() - low) / (high - low);
    let rows: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let height = AXIS + groups.len() as f64 * (HEAD + 6.0) + rows as f64 * BAR + 6.0;
    let mut svg = begin(title, height);
    for decade in low as i32..=high as i32 {
        let value = 10f64.powi(decade);
        let place = x(value);
        let class = if Some(value) == base { "base" } else { "grid" };
        let _ = writeln!(svg, "<path class='{class}' d='M{place:.1} {AXIS}V{height:.1}'/>");
        // The first one is not cut off.
        text(&mut svg, place.max(18.0), AXIS - 3.0, "power", &power(value));
    }
    let start = base.map_or(LEFT, x);
    let mut y = AXIS;
    for (name, bars) in groups {
        y += HEAD;
        text(&mut svg, LEFT, y - 5.0, "head", name);
        for bar in bars {
            let end = x(bar.value);
            // One that ends where it begins is still seen.
            let (from, width) = (start.min(end), (end - start).abs().max(2.0));
            let _ = writeln!(
                svg,
                "<rect class='s{}' x='{from:.1}' y='{y:.1}' width='{width:.1}' height='{:.1}'/>",
                bar.series,
                BAR - 2.0
            );
            text(&mut svg, from + width + 5.0, y + BAR - 4.0, "label", &bar.label);
            y += BAR;
        }
        y += 6.0;
    }
    svg + "</svg>\n"
}

/// A line for each series over a few steps; both axes are linear from zero.
pub fn lines(title: &str, steps: &[f64], series: &[(usize, Vec<f64>)]) -> String {
    const HEIGHT: f64 = 240.0;
    const BOTTOM: f64 = 210.0;
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
        let groups = [("g".into(), vec![bar(0, 1.0), bar(1, 10.0), bar(2, 100.0)])];
        let svg = bars("t", None, |value| format!("{value} ms"), &groups);
        assert!((width(&svg, 2) - 2.0 * width(&svg, 1)).abs() < 0.2, "{svg}");
        assert!(width(&svg, 0) > 0.0 && svg.contains("&lt;1&gt;") && svg.contains(">100 ms<"));
        // From the middle to both sides.
        let svg = bars("t", Some(10.0), |value| value.to_string(), &groups);
        assert!((width(&svg, 2) - width(&svg, 0)).abs() < 0.2, "{svg}");
        assert!(width(&svg, 1) < width(&svg, 0) && svg.contains("class='base'"));
    }

    #[test]
    fn every_series_has_a_line() {
        let svg =
            lines("t", &[1.0, 2.0, 4.0], &[(0, vec![1.0, 2.0, 4.0]), (3, vec![1.0, 1.0, 1.0])]);
        assert!(svg.contains("class='l0'") && svg.contains("class='l3'"), "{svg}");
    }
}

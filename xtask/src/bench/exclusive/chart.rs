//! Draws the time from request to exclusive, for each algorithm and number of vCPUs: a bar to the
//! median, a line to the 99th percentile. The scale is logarithmic.

use std::fmt::Write;

use super::report::{Contender, Harness};
use crate::bench::svg;

const LEFT: f64 = 130.0;
const WIDTH: f64 = 520.0;
const HEAD: f64 = 64.0;
const ROW: f64 = 18.0;
const BAR: f64 = 12.0;
/// Between two groups.
const GAP: f64 = 14.0;
/// The scale's ends as powers of ten, in nanoseconds.
const ENDS: (i32, i32) = (1, 8);
/// One for each algorithm.
const COLOURS: [&str; 3] = ["#b3543a", "#c9924a", "#2b7a4b"];

/// The chart as SVG text.
pub fn draw(harness: &Harness) -> String {
    let contenders = &harness.contenders;
    let groups = contenders.first().map_or(0, |contender| contender.contended.len());
    let group = ROW * contenders.len() as f64 + GAP;
    let bottom = HEAD + group * groups as f64;
    let mut svg = svg::begin(LEFT + WIDTH + 120.0, bottom + 44.0);
    svg::label(
        &mut svg,
        12.0,
        24.0,
        "start",
        15,
        "From request to exclusive, by vCPUs (less is better)",
    );
    for power in ENDS.0..=ENDS.1 {
        let x = place(10_f64.powi(power));
        let _ = writeln!(svg, "<path d='M{x:.1} {HEAD}V{bottom}' stroke='#ddd'/>");
        svg::label(&mut svg, x, HEAD - 8.0, "middle", 11, &unit(power));
    }
    for (number, Contender { name, contended, .. }) in contenders.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        for (index, contended) in contended.iter().enumerate() {
            let top = HEAD + group * index as f64 + ROW * number as f64 + GAP / 2.0;
            let (median, high) = (place(contended.wait_ns.p50), place(contended.wait_ns.p99));
            let middle = top + BAR / 2.0;
            let label = format!("{name}, {}", contended.threads);
            svg::label(&mut svg, LEFT - 8.0, top + 10.0, "end", 11, &label);
            let _ = writeln!(
                svg,
                "<rect x='{LEFT}' y='{top:.1}' width='{:.1}' height='{BAR}' fill='{colour}'/>\n\
                 <path d='M{median:.1} {middle:.1}H{high:.1}m0 -4v8' stroke='#222'/>",
                median - LEFT
            );
        }
    }
    let note = format!(
        "Bars end at the median, lines at the 99th percentile. Polls every {:.0} ns; {} processors.",
        harness.slice_ns, harness.processors
    );
    svg::label(&mut svg, 12.0, bottom + 24.0, "start", 11, &note);
    svg.push_str("</svg>\n");
    svg
}

fn place(ns: f64) -> f64 {
    let (low, high) = (f64::from(ENDS.0), f64::from(ENDS.1));
    LEFT + WIDTH * ((ns.max(1.0).log10() - low) / (high - low)).clamp(0.0, 1.0)
}

fn unit(power: i32) -> String {
    let (scale, name) = [(0, "ns"), (3, "µs"), (6, "ms")][(power / 3).clamp(0, 2) as usize];
    format!("{} {name}", 10_u32.pow((power - scale) as u32))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_figure_has_a_bar() {
        let svg = draw(&sample());
        assert_eq!(svg.matches("height='12'").count(), 4, "{svg}");
        assert!(svg.contains(">gate, 2</text>"), "{svg}");
        assert!(place(1000.0) < place(1e4) && place(1e12) == LEFT + WIDTH);
        assert_eq!([1, 4, 6, 8].map(unit), ["10 ns", "10 µs", "1 ms", "100 ms"]);
    }
}

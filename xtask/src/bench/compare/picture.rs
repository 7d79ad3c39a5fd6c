//! The comparison as one picture that stands by itself: the page's first chart with its legend.

use std::fmt::Write;

use super::comparison::Comparison;
use super::page::{COLOURS, ratio_chart};
use super::plot::WIDTH;
use crate::bench::svg::text;

/// Of the legend, which has two entries in a row.
const ROW: f64 = 18.0;
const COLUMNS: usize = 2;

/// How wide it is shown, in pixels.
const SHOWN: u32 = 600;

/// The picture as SVG text.
pub fn draw(comparison: &Comparison) -> String {
    let head = 30.0 + ROW * comparison.contenders.len().div_ceil(COLUMNS) as f64;
    let chart = ratio_chart(comparison);
    let height: f64 = chart
        .split_once(&format!("viewBox='0 0 {WIDTH} "))
        .and_then(|(_, rest)| rest.split('\'').next()?.parse().ok())
        .unwrap_or(WIDTH);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{SHOWN}' viewBox='0 0 {WIDTH} {:.0}'>\n<style>\n\
         text {{ font: 11px sans-serif; fill: #1b1b1f }}\n.head {{ font-weight: 600 }}\n\
         .power {{ fill: #6a6a72; text-anchor: middle }}\n.grid {{ stroke: #ddd; fill: none }}\n\
         .base {{ stroke: #6a6a72; fill: none }}\n",
        head + height
    );
    for (place, colour) in COLOURS.iter().enumerate() {
        let _ = writeln!(svg, ".s{place} {{ fill: {colour} }}");
    }
    svg += "</style>\n<rect width='100%' height='100%' fill='white'/>\n";
    let title = "Events a second as a multiple of QEMU TCG's; logarithmic, more is better";
    text(&mut svg, 8.0, 16.0, "class='head'", title);
    for (place, one) in comparison.contenders.iter().enumerate() {
        let x = 8.0 + (place % COLUMNS) as f64 * WIDTH / COLUMNS as f64;
        let y = 26.0 + (place / COLUMNS) as f64 * ROW;
        let series = place % COLOURS.len();
        let _ = writeln!(svg, "<rect class='s{series}' x='{x}' y='{y}' width='11' height='11'/>");
        text(&mut svg, x + 17.0, y + 10.0, "", &comparison.marked(&one.name));
    }
    let place = format!("<svg y='{head}' width='{WIDTH}' height='{height}' ");
    svg += &chart.replacen("<svg ", &place, 1);
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::example;
    use super::*;

    #[test]
    fn it_has_the_chart_below_a_legend_of_all() {
        let svg = draw(&example());
        assert_eq!(svg.matches("<svg ").count(), 2, "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 2, "{svg}");
        assert!(svg.contains(">monovisor interpreter</text>") && svg.contains(">all five</text>"));
    }
}

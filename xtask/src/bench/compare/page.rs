//! The comparison as one HTML file that needs nothing else: charts, then all figures. It reads well
//! on a phone and in the dark.

use std::fmt::Write;

use super::baseline::Change;
use super::comparison::{Comparison, Figure, NATIVE};
use super::markdown::{self, METHOD, RATIOS, duration, rate, ratio_rows};
use super::plot::{self, Bar};
use super::targets::{self, Target};
use super::{SCALED, SYSBENCH, WORKLOADS};
use crate::bench::svg::escape;

/// What is paid each time, in the order of the chart.
const COSTS: [&str; 7] = [
    "syscall",
    "context",
    "exit.port",
    "exit.memory",
    "interrupt.timer",
    "interrupt.signal",
    "fileio.write.random.flush",
];

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1f; --soft: #6a6a72; --rule: #ddd }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16161a; --ink: #ececf1; --soft: #a0a0aa; --rule: #3a3a42 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.2 }
svg { display: block; width: 100%; max-width: 38rem; height: auto }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif }
svg text.head { font-weight: 600 }
svg text.power { fill: var(--soft); text-anchor: middle }
svg .grid { stroke: var(--rule); fill: none }
svg .base { stroke: var(--soft); fill: none }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap }
td:first-child, th:first-child { text-align: left }
ul.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none;
  font-size: .85rem }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
.contenders li { margin-bottom: .5rem }
.note { border-left: 4px solid #d9822b; padding-left: .8rem }
code { font-size: .8rem; overflow-wrap: anywhere }
";

/// Colours that are told apart on white and on black, one for each place in the legend.
pub const COLOURS: [&str; 9] = [
    "#7f7f8a", "#2b7a4b", "#7fbf5f", "#2f6fd0", "#c0392b", "#e08a3c", "#8e5bb5", "#b8860b",
    "#159a9c",
];

/// A chart's title, where its bars begin, and how its scale is written.
type Scale<'a> = (&'a str, Option<f64>, fn(f64) -> String);

/// The whole page.
pub fn show(comparison: &Comparison, changes: Option<&[Change]>) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\n\
         <title>monovisor: comparison</title>\n<style>",
    );
    html += STYLE;
    for (place, colour) in COLOURS.iter().enumerate() {
        let _ = writeln!(html, ".s{place} {{ fill: {colour}; background: {colour} }}");
        let _ = writeln!(html, ".l{place} {{ stroke: {colour}; fill: none; stroke-width: 2.5 }}");
    }
    html += "</style>\n<h1>The same work, natively and in guests</h1>\n";
    let host = &comparison.host;
    paragraph(&mut html, &format!("{}; {}.", host.processor, host.kernel));
    if let Some(kvm) = &host.kvm {
        let _ = writeln!(html, "<p class='note'>{}</p>", escape(kvm));
    }
    ratios(&mut html, comparison);
    let targets: Vec<String> = targets::all(comparison).iter().map(Target::show).collect();
    list(&mut html, "Targets", &targets);
    chart(&mut html, comparison, ("Relative to native", Some(1.0), times), |figures, one| {
        let native = figures.iter().find(|one| one.contender == NATIVE)?;
        let ratio = one.rate.median / native.rate.median;
        Some((ratio, format!("{ratio:.3}×")))
    });
    scaling(&mut html, comparison);
    costs(&mut html, comparison);
    chart(&mut html, comparison, ("Events a second", None, number), |_, one| {
        Some((one.rate.median, rate(one.rate.median)))
    });
    let _ = writeln!(html, "<h2>All figures</h2>");
    paragraph(&mut html, METHOD);
    tables(&mut html, comparison);
    list(&mut html, "Faults", &comparison.faults);
    list(&mut html, "Not measured", &comparison.missing);
    if let Some(changes) = changes {
        let lines: Vec<String> = changes.iter().map(markdown::change).collect();
        list(&mut html, "Changes since the baseline", &lines);
    }
    contenders(&mut html, comparison);
    html + "</html>\n"
}

fn paragraph(html: &mut String, words: &str) {
    let _ = writeln!(html, "<p>{}</p>", marked_up(words));
}

/// Words as HTML; what is between grave accents is code.
fn marked_up(words: &str) -> String {
    let parts = escape(words);
    let parts = parts.split('`').enumerate();
    let part = |(index, part): (usize, &str)| match index % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    };
    parts.map(part).collect()
}

fn place(comparison: &Comparison, contender: &str) -> usize {
    let place = comparison.contenders.iter().position(|one| one.name == contender);
    place.unwrap_or(0) % COLOURS.len()
}

/// The names and colours of those contenders whose place a chart shows.
fn legend(html: &mut String, comparison: &Comparison, shows: impl Fn(usize) -> bool) {
    *html += "<ul class='legend'>";
    for one in &comparison.contenders {
        let place = place(comparison, &one.name);
        if !shows(place) {
            continue;
        }
        let name = escape(&comparison.marked(&one.name));
        let _ = write!(html, "<li><i class='s{place}'></i>{name}</li>");
    }
    *html += "</ul>\n";
}

fn ratios(html: &mut String, comparison: &Comparison) {
    let _ = writeln!(html, "<h2>Sysbench’s five</h2>");
    paragraph(html, RATIOS);
    legend(html, comparison, |_| true);
    *html += &ratio_chart(comparison);
}

/// Each contender's speed in each of sysbench's five beside QEMU's.
pub fn ratio_chart(comparison: &Comparison) -> String {
    let rows = ratio_rows(comparison);
    let bars = |column: usize| {
        let bars = rows.iter().enumerate().filter_map(|(series, (_, ratios))| {
            let value = ratios[column]?;
            Some(Bar { series: series % COLOURS.len(), value, label: format!("{value:.2}×") })
        });
        bars.collect::<Vec<Bar>>()
    };
    let heads = WORKLOADS[..SYSBENCH].iter().copied().chain(["all five"]);
    let groups = heads.enumerate().map(|(column, head)| (head.to_owned(), bars(column)));
    let groups: Vec<_> = groups.filter(|(_, bars)| !bars.is_empty()).collect();
    plot::bars("Speed beside QEMU", Some(1.0), times, &groups)
}

/// A power of ten as a multiple.
fn times(value: f64) -> String {
    format!("{value}×")
}

/// A power of ten as a number.
fn number(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

/// A power of ten as a time.
fn time(ns: f64) -> String {
    match ns {
        1e6.. => format!("{} ms", ns / 1e6),
        1e3.. => format!("{} µs", ns / 1e3),
        _ => format!("{ns} ns"),
    }
}

/// A group of bars for each variant, one bar for each contender that has a value.
fn chart(
    html: &mut String,
    comparison: &Comparison,
    (title, base, power): Scale<'_>,
    value: impl Fn(&[&Figure], &Figure) -> Option<(f64, String)>,
) {
    let group = |variant: &str| {
        let figures: Vec<&Figure> = comparison.usual(variant).collect();
        let bars = comparison.contenders.iter().filter_map(|contender| {
            let one = figures.iter().find(|one| one.contender == contender.name)?;
            let (value, label) = value(&figures, one)?;
            Some(Bar { series: place(comparison, &contender.name), value, label })
        });
        (variant.to_owned(), bars.collect::<Vec<Bar>>())
    };
    let groups: Vec<_> = comparison.variants().into_iter().map(group).collect();
    draw(html, comparison, (title, base, power), groups);
}

fn costs(html: &mut String, comparison: &Comparison) {
    let group = |variant: &&str| {
        let bars = comparison.contenders.iter().filter_map(|contender| {
            let mut figures = comparison.usual(variant);
            let ns = 1e9 / figures.find(|one| one.contender == contender.name)?.rate.median;
            let label = duration(ns.round() as u64);
            Some(Bar { series: place(comparison, &contender.name), value: ns, label })
        });
        ((*variant).to_owned(), bars.collect::<Vec<Bar>>())
    };
    let scale = ("Cost of one (less is better)", None, time as fn(f64) -> String);
    draw(html, comparison, scale, COSTS.iter().map(group).collect());
}

fn draw(
    html: &mut String,
    comparison: &Comparison,
    (title, base, power): Scale<'_>,
    groups: Vec<(String, Vec<Bar>)>,
) {
    let groups: Vec<_> = groups.into_iter().filter(|(_, bars)| !bars.is_empty()).collect();
    if !groups.is_empty() {
        let _ = writeln!(html, "<h2>{}</h2>", escape(title));
        let bars: Vec<&Bar> = groups.iter().flat_map(|(_, bars)| bars).collect();
        legend(html, comparison, |place| bars.iter().any(|bar| bar.series == place));
        *html += &plot::bars(title, base, power, &groups);
    }
}

fn scaling(html: &mut String, comparison: &Comparison) {
    for work in SCALED {
        let scale = comparison.scale(work);
        let series = comparison.contenders.iter().filter_map(|contender| {
            let rate = |&cpus: &u32| {
                let mut figures = comparison.of(work, cpus);
                Some(figures.find(|one| one.contender == contender.name)?.rate.median)
            };
            let rates = scale.iter().map(rate).collect::<Option<Vec<f64>>>()?;
            let relative = rates.iter().map(|rate| rate / rates[0]).collect();
            Some((place(comparison, &contender.name), relative))
        });
        let series: Vec<(usize, Vec<f64>)> = series.collect();
        if scale.len() > 1 && !series.is_empty() {
            let _ = writeln!(html, "<h2>Scaling of {work}</h2>");
            let words = "Events a second by the number of vCPUs, as multiples of those with one.";
            paragraph(html, words);
            legend(html, comparison, |place| series.iter().any(|(series, _)| *series == place));
            let scale: Vec<f64> = scale.iter().map(|&cpus| cpus.into()).collect();
            *html += &plot::lines("Scaling", &scale, &series);
        }
    }
}

fn tables(html: &mut String, comparison: &Comparison) {
    for variant in comparison.variants() {
        let _ = writeln!(
            html,
            "<h3>{}</h3>\n<div class='scroll'><table>\n<tr><th>contender<th>events/s<th>least<th>greatest\
             <th>p50<th>p95<th>p99<th>max",
            escape(variant)
        );
        for one in comparison.usual(variant) {
            let rates = [one.rate.median, one.rate.min, one.rate.max].map(rate);
            let times = [one.p50_ns, one.p95_ns, one.p99_ns, one.max_ns].map(duration);
            let cells: Vec<String> = rates.into_iter().chain(times).collect();
            let name = escape(&comparison.marked(&one.contender));
            let _ = writeln!(html, "<tr><td>{name}<td>{}", cells.join("<td>"));
        }
        *html += "</table></div>\n";
    }
}

fn list(html: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(html, "<h2>{title}</h2>\n<ul>");
        lines.iter().for_each(|line| {
            let _ = writeln!(html, "<li>{}", marked_up(line));
        });
        *html += "</ul>\n";
    }
}

fn contenders(html: &mut String, comparison: &Comparison) {
    *html += "<h2>Contenders</h2>\n<ul class='contenders'>\n";
    for one in &comparison.contenders {
        let remark = one.remark.as_deref().unwrap_or_default();
        let [name, version, command] =
            [&comparison.marked(&one.name), &one.version, &one.command].map(|words| escape(words));
        let remark = marked_up(remark);
        let _ = writeln!(html, "<li><b>{name}</b>: {version}. {remark}<br><code>{command}</code>");
    }
    comparison.absent.iter().for_each(|one| {
        let _ = writeln!(html, "<li>{}.", escape(one));
    });
    *html += "</ul>\n";
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::comparison::tests::example;
    use super::*;

    #[test]
    fn it_holds_charts_figures_and_nothing_foreign() {
        let html = show(&example(), None);
        assert!(html.matches("<svg").count() >= 3, "{html}");
        assert!(html.contains("a &lt;processor&gt;") && html.contains("Its KVM is slow."));
        assert!(!html.contains("http"), "nothing is fetched");
    }

    /// A real browser lays the page out: nothing is wider than a phone, letters in charts can be read
    /// there, and both schemes paint.
    #[test]
    fn a_browser_shows_it_on_a_phone_and_in_the_dark() {
        let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok())
        else {
            eprintln!("skipped: no Chromium is installed (Debian: apt-get install chromium)");
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let page = folder.path().join("report.html");
        // A window of the browser can't be as narrow as a phone, a frame in it can.
        let measure = "<script>onload = () => { const inner = frames[0].document; document.title = \
                       [390, inner.documentElement.scrollWidth, \
                       getComputedStyle(inner.body).backgroundColor, \
                       inner.querySelector('svg').getScreenCTM().a].join(';') }</script>";
        let inner = show(&example(), None).replace('&', "&amp;").replace('"', "&quot;");
        let outer =
            format!("<title></title><iframe width=390 height=900 srcdoc=\"{inner}\"></iframe>");
        std::fs::write(&page, outer + measure).expect("a file");
        let run = |flags: &[&str]| {
            let output = Command::new(browser)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900"])
                .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
                .args(flags)
                .arg(&page)
                .output();
            String::from_utf8_lossy(&output.expect("the browser starts").stdout).into_owned()
        };
        let dom = run(&["--dump-dom"]);
        let (_, rest) = dom.split_once("<title>").expect("a title");
        let title: Vec<&str> = rest.split("</title>").next().unwrap_or("").split(';').collect();
        let width = |place: usize| title[place].parse::<u32>().expect("a width");
        assert!(width(1) <= width(0), "wider than a phone: {title:?}");
        assert_eq!(title[2], "rgb(255, 255, 255)");
        let scale: f64 = title[3].parse().expect("a number");
        assert!(11.0 * scale >= 9.0, "letters in charts are {} pixels high", 11.0 * scale);
        let dark = run(&["--dump-dom", "--blink-settings=preferredColorScheme=0"]);
        assert!(dark.contains("rgb(22, 22, 26)"), "the dark scheme has a dark page");
        let shot = folder.path().join("page.png");
        run(&[&format!("--screenshot={}", shot.display())]);
        let bytes = std::fs::metadata(shot).expect("a screenshot").len();
        assert!(bytes > 10_000, "a page with charts is more than {bytes} bytes");
    }
}

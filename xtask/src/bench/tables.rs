//! A report as tables, for a terminal and for the README.

use std::fmt::Write;

use super::report::{Contenders, Report};
use super::statistics::Spread;

impl Report {
    /// The tables as Markdown, ready for the README.
    pub fn markdown(&self) -> String {
        self.tables(|rows| {
            let mut text = String::new();
            for (index, row) in rows.iter().enumerate() {
                let _ = writeln!(text, "| {} |", row.join(" | "));
                if index == 0 {
                    let _ = writeln!(text, "|---|{}", "--:|".repeat(row.len() - 1));
                }
            }
            text
        })
    }

    /// The tables for a terminal.
    pub fn plain(&self) -> String {
        self.tables(|rows| {
            let width = |column: usize| {
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
            };
            let mut text = String::new();
            for row in rows {
                for (column, cell) in row.iter().enumerate() {
                    let width = width(column).unwrap_or_default();
                    let _ = match column {
                        0 => write!(text, "{cell:width$}"),
                        _ => write!(text, "  {cell:>width$}"),
                    };
                }
                text.push('\n');
            }
            text
        })
    }

    fn tables(&self, table: impl Fn(&[Vec<String>]) -> String) -> String {
        let Contenders { names, versions, processor, kernel } = &self.contenders;
        let mut text = format!("{} beside {}; {processor}; {kernel}\n", versions[0], versions[1]);
        if !self.guests.is_empty() {
            let _ = write!(
                text,
                "Whole-process wall time in seconds, {} alternating pairs: median [min..max].\n\n{}",
                self.pairs,
                table(&self.guest_rows(names))
            );
        }
        if let Some(shortfalls) = self.shortfalls().filter(|_| !self.guests.is_empty()) {
            let _ = match shortfalls.is_empty() {
                true => writeln!(text, "\nEvery target is met."),
                false => writeln!(text, "\nBelow target: {}.", shortfalls.join(", ")),
            };
        }
        for failure in self.guests.iter().filter_map(|guest| guest.failure.as_ref()) {
            let _ = writeln!(text, "\nfailed: {failure}");
        }
        if !self.startup.is_empty() {
            let _ = write!(
                text,
                "\nStart to exit of a hello guest, whole process: median [min..max].\n\n{}",
                table(&self.startup_rows())
            );
        }
        text
    }

    fn guest_rows(&self, names: &[String; 2]) -> Vec<Vec<String>> {
        let head = ["guest", &names[0], &names[1], "ratio", "target", "MIPS"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for guest in &self.guests {
            let target = guest.target.map_or(String::new(), |target| format!("{target:.2}"));
            rows.push(match &guest.measured {
                Some(measured) => vec![
                    guest.name.clone(),
                    measured.ours.show(1.0, 3),
                    measured.theirs.show(1.0, 3),
                    measured.ratio.show(1.0, 2),
                    target,
                    measured.mips.map_or(String::new(), |mips| format!("{mips:.0}")),
                ],
                None => vec![
                    guest.name.clone(),
                    "failed".to_owned(),
                    String::new(),
                    String::new(),
                    target,
                    String::new(),
                ],
            });
        }
        if let Some(mean) = self.geometric_mean {
            let target = self.mean_target.map_or(String::new(), |target| format!("{target:.2}"));
            let mean = ["geometric mean", "", "", &format!("{mean:.2}"), &target, ""];
            rows.push(mean.map(str::to_owned).to_vec());
        }
        rows
    }

    fn startup_rows(&self) -> Vec<Vec<String>> {
        let head = ["machine", "milliseconds", "× monovisor", "resident MiB", "× monovisor"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        // The first machine is monovisor.
        let Some(ours) = self.startup.first() else { return rows };
        let times = |theirs: &Spread, ours: &Spread| format!("{:.1}", theirs.median / ours.median);
        rows.extend(self.startup.iter().map(|machine| {
            vec![
                machine.name.clone(),
                machine.seconds.show(1e3, 1),
                times(&machine.seconds, &ours.seconds),
                machine.resident_bytes.show(1.0 / f64::from(1 << 20), 1),
                times(&machine.resident_bytes, &ours.resident_bytes),
            ]
        }));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;

    #[test]
    fn both_kinds_of_table_say_all() {
        let report = sample();
        let markdown = report.markdown();
        assert!(markdown.contains(
            "| bench_fast | 1.000 [1.000..2.000] | 4.000 [2.000..8.000] | 4.00 [2.00..4.00] | 3.00 | 3 |"
        ), "{markdown}");
        for text in [markdown, report.plain()] {
            for part in
                ["geometric mean", "it broke", "3.0 [2.0..4.0]", "4.0 [4.0..4.0]", "Linux 6"]
            {
                assert!(text.contains(part), "{part} is missing in\n{text}");
            }
        }
    }
}

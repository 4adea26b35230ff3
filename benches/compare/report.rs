//! The tables, in Markdown that can also be read as it is.

use crate::rounds::{Results, Row, Sample};

/// Those that do less than a cache. The last takes part where content is long.
pub(crate) const FLOORS: [&str; 3] = ["hyper", "raw", "sendfile"];

const HEADINGS: [&str; 11] = [
    "server",
    "req/s",
    "CPU us",
    "x best peer",
    "x hyper",
    "x raw",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "MiB",
    "origin",
];

/// Prints the table of a workload.
pub(crate) fn print(results: &Results, rate: u32) {
    let workload = &results.workload;
    let pace = if workload.paced { format!(", {rate} requests/s") } else { String::new() };
    println!("\n{}: {} ({} connections{pace})\n", workload.name, workload.about, workload.connections);
    let best = best_peer(&results.rows, |sample| sample.cpu);
    let mut lines = vec![HEADINGS.map(str::to_owned).to_vec()];
    for row in results.rows.iter().filter(|row| !row.samples.is_empty()) {
        let ratio = |other: Option<&Row>| {
            let ratio = other.and_then(|other| median_ratio(row, other, |sample| sample.cpu));
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let value = |of: fn(&Sample) -> f64| median(row.samples.iter().map(of).collect());
        lines.push(vec![
            row.name.clone(),
            format!("{:.0}", value(|sample| sample.rate)),
            format!("{:.2}", value(|sample| sample.cpu)),
            ratio(best),
            ratio(find(&results.rows, "hyper")),
            ratio(find(&results.rows, "raw")),
            format!("{:.0}", value(|sample| sample.latency.p50)),
            format!("{:.0}", value(|sample| sample.latency.p99)),
            format!("{:.0}", value(|sample| sample.latency.p999)),
            format!("{:.1}", value(|sample| sample.memory) / f64::from(1 << 20)),
            format!("{:.1}%", value(|sample| sample.to_origin) * 100.0),
        ]);
    }
    table(&lines);
    for row in &results.rows {
        if let Some(fault) = &row.fault {
            // An unexpected answer is told by its first lines.
            let fault: Vec<&str> = fault.lines().take(2).collect();
            println!("left out: {}: {}", row.name, fault.join(" "));
        }
    }
}

/// Prints lines of cells in columns; the first line is the heading.
pub(crate) fn table(lines: &[Vec<String>]) {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    for (index, line) in lines.iter().enumerate() {
        let cells = line.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        if index == 0 {
            let rules = (0..line.len()).map(|column| {
                if column == 0 { "-".repeat(width(0)) } else { format!("{}:", "-".repeat(width(column) - 1)) }
            });
            println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
}

/// The row of this name, if it has figures.
pub(crate) fn find<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name && !row.samples.is_empty())
}

/// The cache, ours apart, with the lowest figure.
pub(crate) fn best_peer(rows: &[Row], of: fn(&Sample) -> f64) -> Option<&Row> {
    let peers = rows.iter().filter(|row| {
        !row.samples.is_empty() && !row.name.starts_with("larder") && !FLOORS.contains(&row.name.as_str())
    });
    let figure = |row: &Row| median(row.samples.iter().map(of).collect());
    peers.min_by(|one, other| figure(one).total_cmp(&figure(other)))
}

/// The median of the rounds' ratios.
pub(crate) fn median_ratio(one: &Row, other: &Row, of: fn(&Sample) -> f64) -> Option<f64> {
    let ratios: Vec<f64> =
        one.samples.iter().zip(&other.samples).map(|(one, other)| of(one) / of(other)).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

/// The value that a quarter of them are not above.
pub(crate) fn lower_quartile(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().div_ceil(4).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

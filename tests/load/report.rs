//! The table that `load bench` prints, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::drive::Measured;

/// One kind of work, measured on both servers.
pub(crate) struct Row {
    /// PUT or GET.
    pub(crate) method: String,
    /// How many connections.
    pub(crate) connections: usize,
    /// The server that only stores.
    pub(crate) floor: Measured,
    /// The host.
    pub(crate) host: Measured,
}

/// How long a start took, from the start of the process to the first 200.
pub(crate) struct Start {
    /// What was there before.
    pub(crate) what: &'static str,
    /// How long.
    pub(crate) took: Duration,
}

/// All rows as text. `floor_put` rows are what the GETs of the host are compared with as well.
pub(crate) fn render(rows: &[Row], starts: &[Start]) -> String {
    let mut text = String::from(
        "| work | connections | server | requests/s | ratio to floor | p50 ms | p50 x floor \
         | p99 ms | p99.9 ms | disk bytes/request | RSS MiB |\n\
         | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        line(&mut text, row, "floor", &row.floor);
        line(&mut text, row, "everstate", &row.host);
    }
    text.push_str("\nGET of the host against floor's PUT:\n\n");
    text.push_str("| connections | ratio |\n| ---: | ---: |\n");
    for get in rows.iter().filter(|row| row.method == "GET") {
        let put = rows
            .iter()
            .find(|row| row.method == "PUT" && row.connections == get.connections)
            .map_or(f64::NAN, |row| row.floor.throughput);
        push(
            &mut text,
            format_args!("| {} | {:.2} |\n", get.connections, get.host.throughput / put),
        );
    }
    text.push_str("\n| start, until the first answer | ms |\n| --- | ---: |\n");
    for start in starts {
        push(&mut text, format_args!("| {} | {:.0} |\n", start.what, millis(start.took)));
    }
    text
}

fn line(text: &mut String, row: &Row, server: &str, measured: &Measured) {
    let floor = &row.floor;
    push(
        text,
        format_args!(
            "| {} | {} | {server} | {:.0} | {:.2} | {:.3} | {:.2} | {:.3} | {:.3} | {:.0} | {:.0} |\n",
            row.method,
            row.connections,
            measured.throughput,
            measured.throughput / floor.throughput,
            millis(measured.quantile(0.5)),
            millis(measured.quantile(0.5)) / millis(floor.quantile(0.5)),
            millis(measured.quantile(0.99)),
            millis(measured.quantile(0.999)),
            measured.disk_bytes_per_request,
            measured.resident_bytes as f64 / 1024.0 / 1024.0,
        ),
    );
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string does not fail");
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

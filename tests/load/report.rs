//! The tables that `load bench` and `load entities` print, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::drive::Measured;

/// One kind of work, measured on both servers.
pub(crate) struct Row {
    /// PUT or GET.
    pub(crate) method: &'static str,
    /// How many connections.
    pub(crate) connections: usize,
    /// The server that only stores.
    pub(crate) floor: Measured,
    /// The host.
    pub(crate) host: Measured,
}

/// An orchestration, measured on the host.
pub(crate) struct OrchestrationRow {
    /// What it does.
    pub(crate) what: &'static str,
    /// How many connections.
    pub(crate) connections: usize,
    /// The host.
    pub(crate) host: Measured,
    /// What floor does in PUTs a second at so many connections, in the same run.
    pub(crate) floor_put: f64,
}

/// All orchestrations as text, and how late timers were: sorted, in milliseconds.
pub(crate) fn render_orchestrations(rows: &[OrchestrationRow], lateness_ms: &[u64]) -> String {
    let mut text = String::from(
        "| orchestration | connections | per second | floor's PUTs for one | p50 ms | p99 ms \
         | disk bytes each | RSS MiB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for OrchestrationRow { what, connections, host, floor_put } in rows {
        push(
            &mut text,
            format_args!(
                "| {what} | {connections} | {:.0} | {:.1} | {:.3} | {:.3} | {:.0} | {:.0} |\n",
                host.throughput,
                floor_put / host.throughput,
                millis(host.quantile(0.5)),
                millis(host.quantile(0.99)),
                host.disk_bytes_per_request,
                mib(host.resident_bytes),
            ),
        );
    }
    let late = |hundredths: usize| {
        lateness_ms.get(lateness_ms.len() * hundredths / 100).copied().unwrap_or_default()
    };
    push(
        &mut text,
        format_args!(
            "\n{} timers over two seconds: p50 {} ms late, p99 {} ms late\n",
            lateness_ms.len(),
            late(50),
            late(99)
        ),
    );
    text
}

/// Signals, measured on the host.
pub(crate) struct SignalRow {
    /// Which.
    pub(crate) what: &'static str,
    /// What is to be reached.
    pub(crate) goal: &'static str,
    /// Signals that were done, a second, until the last one was.
    pub(crate) per_second: f64,
    /// Bytes that the host caused to be written to disk.
    pub(crate) disk_bytes_per_signal: f64,
    /// The requests that sent them.
    pub(crate) requests: Measured,
}

impl SignalRow {
    /// With a name and a goal.
    pub(crate) fn named(self, what: &'static str, goal: &'static str) -> Self {
        Self { what, goal, ..self }
    }
}

/// All signals as text.
pub(crate) fn render_signals(rows: &[SignalRow], connections: usize) -> String {
    let mut text = format!(
        "| signals, {connections} connections | done a second | requests/s | refused (429) | p50 ms \
         | p99 ms | disk bytes each | RSS MiB | goal |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for SignalRow { what, goal, per_second, disk_bytes_per_signal, requests } in rows {
        push(
            &mut text,
            format_args!(
                "| {what} | {per_second:.0} | {:.0} | {} | {:.3} | {:.3} | {disk_bytes_per_signal:.0} \
                 | {:.0} | {goal} |\n",
                requests.throughput,
                requests.refused,
                millis(requests.quantile(0.5)),
                millis(requests.quantile(0.99)),
                mib(requests.resident_bytes),
            ),
        );
    }
    text
}

/// Operations that are waited for, as text, each with its goal.
pub(crate) fn render_operations(rows: &[(OrchestrationRow, &'static str)]) -> String {
    let mut text = String::from(
        "| operation | connections | per second | floor's PUTs for one | p50 ms | p99 ms \
         | disk bytes each | RSS MiB | goal |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for (OrchestrationRow { what, connections, host, floor_put }, goal) in rows {
        push(
            &mut text,
            format_args!(
                "| {what} | {connections} | {:.0} | {:.1} | {:.3} | {:.3} | {:.0} | {:.0} | {goal} |\n",
                host.throughput,
                floor_put / host.throughput,
                millis(host.quantile(0.5)),
                millis(host.quantile(0.99)),
                host.disk_bytes_per_request,
                mib(host.resident_bytes),
            ),
        );
    }
    text
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
            mib(measured.resident_bytes),
        ),
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string does not fail");
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

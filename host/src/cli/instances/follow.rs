//! `everstate instances wait` and `watch`: until an orchestration has ended. The waiting is the host's.

use std::io::{BufRead as _, BufReader, Read};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::api::Api;
use super::super::errors::NotAsHoped;
use super::super::output::{Output, Progress, Tone, field, printable, whole_field, word};
use super::super::values;
use super::show::{about, document, tone};
use super::{existing, instance};

/// How long the host is asked to wait at a time.
const ONE_WAIT: Duration = Duration::from_secs(30);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Goal {
    /// Until it has ended
    Completion,
    /// Until it has begun
    Start,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// The instance id
    #[arg(value_parser = values::given)]
    id: String,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value_t = Goal::Completion)]
    goal: Goal,
    /// How long at most, in seconds [default: as long as it takes]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(super) fn wait(api: &Api, out: Output, args: &WaitArgs) -> anyhow::Result<()> {
    let timeout = args.timeout.map(Duration::from_secs);
    if args.goal == Goal::Completion {
        return until_ended(api, out, &args.id, timeout);
    }
    match await_host(api, &args.id, "start", timeout)? {
        Some(status) => out.line_or(&status, &format!("`{}` has begun.", args.id)),
        None => bail!(
            "`{}` has not begun yet: `everstate instances why {}` says why",
            args.id,
            word(&args.id)
        ),
    }
}

/// Waits for the end and prints the output. An orchestration that did not complete is a failure.
pub(super) fn until_ended(
    api: &Api,
    out: Output,
    id: &str,
    timeout: Option<Duration>,
) -> anyhow::Result<()> {
    let progress = Progress::start(&format!("waiting for {id}"));
    let ended = await_host(api, id, "completion", timeout)?;
    drop(progress);
    let Some(status) = ended else {
        bail!(
            "`{id}` has not ended yet: `everstate instances why {}` says what it waits for",
            word(id)
        );
    };
    completed(id, &status)?;
    out.value(if out.json { &status } else { &status["output"] })
}

/// Whether it ends in time, however.
pub(super) fn ends_within(api: &Api, id: &str, timeout: Duration) -> anyhow::Result<bool> {
    Ok(await_host(api, id, "completion", Some(timeout))?.is_some())
}

/// The status document once it has come, or `None` when the time is over.
fn await_host(
    api: &Api,
    id: &str,
    goal: &str,
    timeout: Option<Duration>,
) -> anyhow::Result<Option<Value>> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = deadline.map_or(ONE_WAIT, |end| end.saturating_duration_since(Instant::now()));
        let seconds = left.min(ONE_WAIT).as_secs_f64();
        let path = instance(id, &["wait"]).query("for", goal).query("timeout", seconds);
        let reply = existing(api.get(&path)?, id)?.ok(&format!("cannot wait for `{id}`"))?;
        if reply.status == 200 {
            return reply.object().map(Some);
        }
        if deadline.is_some_and(|end| Instant::now() >= end) {
            return Ok(None);
        }
    }
}

/// An error unless the orchestration has completed; for programs it is the status document.
fn completed(id: &str, status: &Value) -> anyhow::Result<()> {
    let state = field(status, "runtimeStatus");
    let output = whole_field(status, "output");
    let message = match state.as_str() {
        "Completed" => return Ok(()),
        "Failed" => {
            format!(
                "{output} (`everstate instances history {}` shows how it came to that)",
                word(id)
            )
        }
        other if output.is_empty() => format!("`{id}` has ended as {other}, without a reason"),
        other => format!("`{id}` has ended as {other}: {output}"),
    };
    Err(NotAsHoped { message, result: status.clone() }.into())
}

pub(super) fn watch(api: &Api, out: Output, id: &str) -> anyhow::Result<()> {
    let mut last_event: Option<String> = None;
    loop {
        let path = instance(id, &["history", "stream"]);
        let headers: Vec<(&str, &str)> =
            last_event.iter().map(|event| ("last-event-id", event.as_str())).collect();
        let stream = match api.stream(&path, &headers)? {
            Ok(stream) => stream,
            Err(reply) => {
                existing(reply, id)?.ok(&format!("cannot follow `{id}`"))?;
                bail!("cannot follow `{id}`: the host does not send a stream");
            }
        };
        let before = last_event.clone();
        let broken = show_events(out, stream, &mut last_event)?;
        let status = document(api, id, false)?;
        if has_ended(&status) {
            // Programs have had their values: what is left to say is why it is no good end.
            return completed(id, &status).map_err(|error| anyhow!("{error}"));
        }
        // A stream that brought something is taken up where it ended; one that brought nothing again is given up.
        if before == last_event {
            let reason = broken.unwrap_or_else(|| "the host ended the stream".to_owned());
            bail!(
                "cannot follow `{id}` any longer: {reason}; see that the host runs and try again"
            );
        }
    }
}

fn has_ended(status: &Value) -> bool {
    matches!(
        field(status, "runtimeStatus").as_str(),
        "Completed" | "Failed" | "Terminated" | "Canceled"
    )
}

/// Prints the events of a stream until it ends; gives why, if it did not end by itself.
fn show_events(
    out: Output,
    stream: impl Read,
    last_event: &mut Option<String>,
) -> anyhow::Result<Option<String>> {
    let mut event = ServerEvent::default();
    for line in BufReader::new(stream).lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Ok(Some(error.to_string())),
        };
        if !line.is_empty() {
            event.take(&line);
            continue;
        }
        let complete = std::mem::take(&mut event);
        if complete.data.is_empty() {
            continue;
        }
        if let Some(id) = &complete.id {
            *last_event = Some(id.clone());
        }
        show_event(out, &complete)?;
    }
    Ok(None)
}

fn show_event(out: Output, event: &ServerEvent) -> anyhow::Result<()> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
    if out.json {
        return out.value(&json!({ "event": event.name, "id": event.id, "data": data }));
    }
    if event.name == "end" {
        return Ok(());
    }
    if event.name == "status" {
        let state = field(&data, "runtimeStatus");
        let custom = field(&data, "customStatus");
        let text = printable(format!("{} {custom}", field(&data, "lastUpdatedTime")).trim_end());
        return out.line(&format!("{} {text}", out.paint(&state, Tone::of_status(&state))));
    }
    let kind = field(&data, "EventType");
    let text = printable(&format!("{} {kind} {}", field(&data, "Timestamp"), about(&data)));
    out.line(&out.paint(text.trim_end(), tone(&kind)))
}

/// One event of a stream of server-sent events.
#[derive(Debug, Default)]
struct ServerEvent {
    name: String,
    id: Option<String>,
    data: String,
}

impl ServerEvent {
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments keep the connection alive; other fields mean nothing here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Output, ServerEvent, completed, show_events};

    #[test]
    fn end_without_a_reason_is_told_as_one() {
        let ended = |output| {
            let status = json!({"runtimeStatus": "Terminated", "output": output});
            completed("a", &status).expect_err("it did not complete").to_string()
        };
        assert_eq!(ended(json!(null)), "`a` has ended as Terminated, without a reason");
        assert_eq!(ended(json!("")), "`a` has ended as Terminated, without a reason");
        assert_eq!(ended(json!("enough")), "`a` has ended as Terminated: enough");
    }

    #[test]
    fn event_is_put_together_from_its_lines() {
        let mut event = ServerEvent::default();
        for line in ["event: history", ": comment", "id:7", "data: {", "data: }", "retry: 5"] {
            event.take(line);
        }
        assert_eq!((event.name.as_str(), event.id.as_deref()), ("history", Some("7")));
        assert_eq!(event.data, "{\n}");
    }

    #[test]
    fn last_event_is_the_last_complete_one() {
        let stream = "id: 1\ndata: {}\n\n: alive\n\nid: 2\ndata: {}\n\nid: 3\ndata: {}\n";
        let mut last = None;
        let broken = show_events(Output::new(true), stream.as_bytes(), &mut last);
        assert_eq!(broken.expect("printed"), None);
        assert_eq!(last.as_deref(), Some("2"));
    }
}

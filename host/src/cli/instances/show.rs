//! What there is to see of one orchestration: its status, its history, what it waits for, what was logged.

use serde_json::Value;

use super::super::api::Api;
use super::super::output::{Output, Rows, Tone, cell, field, printable, whole_field};
use super::{existing, instance};

/// Fields of an event of the history that say what it is about, in the order in which they are shown.
const EVENT_FIELDS: [&str; 11] = [
    "FunctionName",
    "Name",
    "EntityId",
    "Operation",
    "InstanceId",
    "FireAt",
    "LockSet",
    "Data",
    "Input",
    "Result",
    "Reason",
];

pub(super) fn status(api: &Api, out: Output, id: &str) -> anyhow::Result<()> {
    let status = document(api, id, false)?;
    if out.json {
        return out.value(&status);
    }
    out.line(&described(out, &status))
}

/// The status document of an orchestration.
pub(super) fn document(api: &Api, id: &str, with_history: bool) -> anyhow::Result<Value> {
    let mut path = instance(id, &[]).query("showInput", true);
    if with_history {
        path = path.query("showHistory", true).query("showHistoryOutput", true);
    }
    existing(api.get(&path)?, id)?.ok(&format!("cannot show `{id}`"))?.object()
}

fn described(out: Output, status: &Value) -> String {
    let state = field(status, "runtimeStatus");
    let mut lines = vec![
        format!("Instance       {}", whole_field(status, "instanceId")),
        format!("Name           {}", field(status, "name")),
        format!("Status         {}", out.paint(&state, Tone::of_status(&state))),
        format!("Created        {}", field(status, "createdTime")),
        format!("Last updated   {}", field(status, "lastUpdatedTime")),
    ];
    for (label, name) in
        [("Custom status", "customStatus"), ("Input", "input"), ("Output", "output")]
    {
        if !status[name].is_null() {
            lines.push(format!("{label:<14} {}", status[name]));
        }
    }
    lines.join("\n")
}

pub(super) fn history(api: &Api, out: Output, id: &str) -> anyhow::Result<()> {
    let status = document(api, id, true)?;
    let events = status["historyEvents"].as_array().map_or(&[][..], Vec::as_slice);
    if out.json {
        return out.value(&events.into());
    }
    let mut rows = Rows::new(&["TIME", "EVENT", "WHAT"]);
    for event in events {
        let kind = field(event, "EventType");
        rows.add(tone(&kind), [field(event, "Timestamp"), kind, about(event)]);
    }
    out.table(&rows, "Nothing has happened yet.")
}

/// What an event of a history is about, on one line.
pub(super) fn about(event: &Value) -> String {
    let mut words = Vec::new();
    for name in EVENT_FIELDS {
        let text = match &event[name] {
            Value::Null => continue,
            Value::String(text) if !matches!(name, "Input" | "Result") => text.clone(),
            value => value.to_string(),
        };
        words.push(match name {
            "Input" => format!("<- {text}"),
            "Result" => format!("-> {text}"),
            _ => text,
        });
    }
    cell(&Value::String(words.join(" ")))
}

/// How an event of that kind is shown.
pub(super) fn tone(kind: &str) -> Tone {
    if kind.ends_with("Failed") || kind.ends_with("Terminated") { Tone::Bad } else { Tone::Plain }
}

pub(super) fn why(api: &Api, out: Output, id: &str) -> anyhow::Result<()> {
    let reply = existing(api.get(&instance(id, &["why"]))?, id)?;
    let why = reply.ok(&format!("cannot say why `{id}` waits"))?.object()?;
    if out.json {
        return out.value(&why);
    }
    let state = field(&why, "runtimeStatus");
    let since = field(&why, "since");
    out.line(&format!("{id} is {} since {since}.", out.paint(&state, Tone::of_status(&state))))?;
    let reasons = why["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    if !reasons.is_empty() {
        let mut rows = Rows::new(&["WAITS FOR", "WHAT", "SINCE", "UNTIL", "DETAIL"]);
        for reason in reasons {
            rows.add(Tone::Plain, reason_cells(reason));
        }
        out.table(&rows, "")?;
    }
    if let Some(count) = why["moreReasons"].as_u64() {
        out.line(&format!("It waits for {count} more."))?;
    }
    for lock in why["locksHeld"].as_array().into_iter().flatten() {
        out.line(&format!(
            "It holds the lock of {} since {}.",
            field(lock, "entityId"),
            field(lock, "since")
        ))?;
    }
    Ok(())
}

fn reason_cells(reason: &Value) -> [String; 5] {
    let what: Vec<String> = ["name", "entityId", "instanceId"]
        .iter()
        .map(|name| field(reason, name))
        .filter(|text| !text.is_empty())
        .collect();
    let holder = field(&reason["heldBy"], "instanceId");
    let mut detail = field(reason, "message");
    if !holder.is_empty() {
        detail = format!("held by {holder} since {} {detail}", field(&reason["heldBy"], "since"));
    }
    let text = |name| field(reason, name);
    [text("kind"), what.join(" "), text("since"), text("dueTime"), detail.trim().to_owned()]
}

pub(super) fn logs(api: &Api, out: Output, id: &str, top: usize) -> anyhow::Result<()> {
    let path = instance(id, &["logs"]).query("top", top);
    let reply = existing(api.get(&path)?, id)?;
    let lines = reply.ok(&format!("cannot show the logs of `{id}`"))?.list()?;
    if out.json {
        return out.value(&lines.into());
    }
    if lines.is_empty() {
        return out.line("Nothing was logged.");
    }
    for line in &lines {
        let level = field(line, "level");
        let tone = match level.to_lowercase().as_str() {
            "error" | "critical" => Tone::Bad,
            "warn" | "warning" => Tone::Warning,
            _ => Tone::Plain,
        };
        let (time, function) = (field(line, "timestamp"), field(line, "function"));
        let text = format!("{time} {level:<5} {function}: {}", whole_field(line, "message"));
        out.line(&out.paint(&printable(&text), tone))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::about;

    #[test]
    fn event_is_told_by_its_name_input_and_result() {
        let event = json!({"EventType": "TaskCompleted", "FunctionName": "SayHello", "Input": "Tokyo",
                           "Result": "Hello Tokyo!", "Timestamp": "…"});
        assert_eq!(about(&event), r#"SayHello <- "Tokyo" -> "Hello Tokyo!""#);
        assert_eq!(about(&json!({"EventType": "TimerFired"})), "");
        let event = json!({"EventType": "GenericEvent", "Data": "moved to new code"});
        assert_eq!(about(&event), "moved to new code");
    }
}

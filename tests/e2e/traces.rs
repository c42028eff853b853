//! Traces: one from the request to the last activity, its context taken in and handed on, each span once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use everstate_tests::certificate::write_certificate;
use everstate_tests::collector::{Collector, Span};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::options;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const EVICTION: &str =
    "\n[runtime]\nsuspended_guests_max = 0\n[engine]\nloaded_instances_max = 1\n";
const INSTANCES: &str = "/runtime/webhooks/durabletask/instances";

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// A request that belongs to the trace, with its good answer.
async fn traced(host: &HostProcess, method: &str, path: &str, body: &str) -> Result<Value> {
    let headers = [("traceparent", traceparent()), ("tracestate", "vendor=1".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = host.client().send(method, path, &headers, body.to_owned()).await?;
    assert!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text());
    Ok(serde_json::from_str(&reply.text()).unwrap_or_default())
}

/// The spans of the trace, as soon as there are so many of that name.
async fn spans(collector: &Collector, name: &str, count: usize) -> Result<Vec<Span>> {
    eventually(&format!("{count} spans of {name}"), START_DEADLINE, || async {
        let spans = collector.of_trace(TRACE);
        (spans.iter().filter(|span| span.name == name).count() >= count).then_some(spans)
    })
    .await
}

fn the<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no span of {name}: {spans:#?}"));
    assert_eq!(found.next(), None, "{name} has one span");
    first
}

fn assert_each_is_there_once(spans: &[Span]) {
    for span in spans {
        let same = spans.iter().filter(|other| other.span_id == span.span_id).count();
        assert_eq!(same, 1, "{span:?}");
    }
}

/// Request, orchestration, a failed and a good attempt at an activity, a child and its entity, a herald
/// that nobody waits for, a second generation and its entity: with nothing kept, so that all is replayed.
#[tokio::test]
async fn trace_goes_from_the_request_to_all_that_it_started_and_has_each_span_once() -> Result<()> {
    let collector = Collector::start().await?;
    let config = format!("{EVICTION}{}", collector.settings());
    let host = HostProcess::start(options(&[guests::LEDGER]).config(&config)).await?;
    // An even token: the first attempt at the activity fails.
    traced(&host, "POST", "/Ledger/a/token-2?way=long", "").await?;
    let spans = spans(&collector, "Ledger_Journey_Orchestrator", 2).await?;
    let spans = if spans.iter().any(|span| span.name == "POST /Ledger/{account}/{token}") {
        spans
    } else {
        self::spans(&collector, "POST /Ledger/{account}/{token}", 1).await?
    };
    assert_each_is_there_once(&spans);
    let request = the(&spans, "POST /Ledger/{account}/{token}");
    assert_eq!(request.parent, CALLER);
    let journeys: Vec<_> =
        spans.iter().filter(|span| span.name == "Ledger_Journey_Orchestrator").collect();
    assert_eq!(journeys.len(), 2, "one a generation: {spans:#?}");
    for journey in &journeys {
        assert_eq!(journey.parent, request.span_id);
        assert_eq!((journey.instance_id.as_str(), journey.error.as_str()), ("token-2", ""));
    }
    let first = &journeys[0].span_id;
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "Ledger_Confirm").collect();
    assert_eq!(attempts.len(), 2, "{spans:#?}");
    assert!(attempts.iter().all(|attempt| attempt.parent == *first), "{spans:#?}");
    assert_eq!(attempts.iter().filter(|a| a.error == "not at the first attempt").count(), 1);
    let child = the(&spans, "Ledger_Child_Orchestrator");
    assert_eq!((&child.parent, child.instance_id.as_str()), (first, "token-2-child"));
    assert_eq!(&the(&spans, "Ledger_Herald_Orchestrator").parent, first);
    let mut appended: Vec<_> = spans.iter().filter(|span| span.name == "Ledger.append").collect();
    appended.sort_by_key(|span| span.instance_id.clone());
    let above: Vec<_> =
        appended.iter().map(|span| (span.instance_id.as_str(), &span.parent)).collect();
    let second = &journeys[1].span_id;
    assert_eq!(above, [("@ledger@first-a", &child.span_id), ("@ledger@second-a", second)]);
    Ok(())
}

/// Five activities in a row: each begins after the one before it, and all lie within the execution, which
/// lies within the request.
#[tokio::test]
async fn spans_have_times_to_the_nanosecond_and_lie_within_what_waited_for_them() -> Result<()> {
    let collector = Collector::start().await?;
    let config = collector.settings();
    let host = HostProcess::start(options(&[guests::HELLO]).config(&config)).await?;
    traced(&host, "POST", "/Hello/Hello5", "null").await?;
    let spans = spans(&collector, "POST /Hello/{orchestrator}", 1).await?;
    let (request, execution) = (the(&spans, "POST /Hello/{orchestrator}"), the(&spans, "Hello5"));
    let mut attempts: Vec<_> = spans.iter().filter(|span| span.name == "SayHello").collect();
    attempts.sort_by_key(|attempt| attempt.started);
    assert_eq!(attempts.len(), 5, "{spans:#?}");
    let within = [&[request, execution], attempts.as_slice()].concat();
    let mut times: Vec<_> = within[..2].iter().map(|span| span.started).collect();
    times.extend(attempts.iter().flat_map(|attempt| [attempt.started, attempt.ended]));
    times.extend([execution.ended, request.ended]);
    assert!(times.is_sorted(), "{spans:#?}");
    assert!(times.iter().any(|time| time % 1_000_000 != 0), "{times:?}");
    Ok(())
}

/// Whatever case a name is called in, spans have the one of its author.
#[tokio::test]
async fn spans_say_what_they_are_of() -> Result<()> {
    let collector = Collector::start().await?;
    let config = collector.settings();
    let guests = [guests::DATABASE, guests::RETRIES];
    let host = HostProcess::start(options(&guests).config(&config)).await?;
    traced(&host, "PUT", "/Database/1", "\"x\"").await?;
    let trial = r#"{"succeedsAt":2,"firstIntervalMs":1,"attempts":2,"activity":"FLAKY"}"#;
    let path = "/runtime/webhooks/durabletask/orchestrators/persistent/p";
    traced(&host, "POST", path, trial).await?;
    let spans = spans(&collector, "Persistent", 1).await?;
    let request = the(&spans, "PUT /Database/{key}");
    for (name, value) in [
        ("everstate.kind", json!("request")),
        ("everstate.function", json!("Database_HttpStart")),
        ("http.route", json!("/Database/{key}")),
        ("http.response.status_code", json!(200)),
    ] {
        assert_eq!(request.attribute(name), value, "{request:#?}");
    }
    let operation = the(&spans, "Register.set");
    assert_eq!(operation.attribute("everstate.function"), "Register");
    assert_eq!(operation.instance_id, "@register@1");
    let attempts = spans.iter().filter(|span| span.name == "Flaky");
    let numbers: BTreeSet<_> =
        attempts.filter_map(|span| span.attribute("everstate.attempt").as_u64()).collect();
    assert_eq!(numbers, [1, 2].into(), "{spans:#?}");
    Ok(())
}

/// Also those of an orchestrator: its lines are found by the trace of the request.
#[tokio::test]
async fn lines_of_an_orchestrator_name_its_trace() -> Result<()> {
    let host = HostProcess::start(options(&[guests::APPROVAL])).await?;
    traced(&host, "POST", "/runtime/webhooks/durabletask/orchestrators/Votes/v", "1").await?;
    let headers = [("content-type", "application/json")];
    let path = format!("{INSTANCES}/v/raiseEvent/vote");
    host.client().send("POST", &path, &headers, "7".to_owned()).await?;
    host.logs(&["vote 1 of 1", "Votes", &format!("trace_id={TRACE}")]).await
}

#[tokio::test]
async fn collector_behind_https_is_trusted_by_its_certificate_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_certificate(folder.path())?;
    let collector = Collector::start_tls(folder.path()).await?;
    let ca = format!("otlp_ca_file = \"{}/cert.pem\"\n", folder.path().display());
    let trusting = format!("{}{ca}", collector.settings());
    let host = HostProcess::start(options(&[guests::DATABASE]).config(&trusting)).await?;
    traced(&host, "PUT", "/Database/1", "\"x\"").await?;
    spans(&collector, "Database_PUT_Orchestrator", 1).await?;

    let config = collector.settings();
    let stranger = HostProcess::start(options(&[guests::DATABASE]).config(&config)).await?;
    traced(&stranger, "GET", "/Database/1", "").await?;
    stranger.says(&["the collector does not take spans: its certificate is not trusted"]).await?;
    assert!(collector.of_trace(TRACE).iter().all(|span| span.name != "Database_GET_Orchestrator"));
    Ok(())
}

/// Named by variables of OpenTelemetry alone, one of which wants what cannot be had.
#[tokio::test]
async fn collector_that_is_busy_is_asked_again_and_what_it_rejects_is_told() -> Result<()> {
    let collector = Collector::start().await?;
    collector.answer(StatusCode::SERVICE_UNAVAILABLE, "too much to do");
    collector.answer(
        StatusCode::OK,
        r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#,
    );
    let options = options(&[guests::DATABASE])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let host = HostProcess::start(options).await?;
    host.logs(&["WARN", "OTEL_EXPORTER_OTLP_COMPRESSION", "ignored"]).await?;
    traced(&host, "PUT", "/Database/1", "\"x\"").await?;
    spans(&collector, "Database_PUT_Orchestrator", 1).await?;
    let refused = "the collector does not take spans: it answered 503 Service Unavailable";
    host.logs(&["WARN", refused, "too much to do"]).await?;
    host.logs(&["INFO", "the collector takes spans again, 0 were dropped"]).await?;
    host.logs(&["WARN", "the collector rejected 1 of", "too old"]).await?;
    let metrics = host.client().get("/metrics").await?.text();
    assert!(metrics.contains("\neverstate_spans_dropped_total 1\n"), "{metrics}");
    Ok(())
}

/// What the orchestration belongs to is stored with it: the host that ends it is not the one that began it.
#[tokio::test]
async fn trace_outlives_the_host_and_an_execution_has_one_span() -> Result<()> {
    let collector = Collector::start().await?;
    let config = format!("{EVICTION}{}", collector.settings());
    let options = options(&[guests::APPROVAL]).config(&config);
    let mut host = HostProcess::start(options).await?;
    traced(&host, "POST", "/runtime/webhooks/durabletask/orchestrators/Votes/v", "3").await?;
    let started = spans(
        &collector,
        "POST /runtime/webhooks/durabletask/orchestrators/{functionName}/{instanceId}",
        1,
    );
    let request = started.await?[0].clone();
    assert_eq!(request.parent, CALLER);
    for vote in 1..=3 {
        let path = format!("{INSTANCES}/v/raiseEvent/vote");
        let headers = [("content-type", "application/json")];
        let reply = host.client().send("POST", &path, &headers, vote.to_string()).await?;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
        if vote < 3 {
            host.restart().await?;
        }
    }
    let spans = spans(&collector, "Votes", 1).await?;
    assert_each_is_there_once(&spans);
    let votes = the(&spans, "Votes");
    assert_eq!((&votes.parent, votes.instance_id.as_str()), (&request.span_id, "v"));
    // A restart makes no second one: what comes later in time is another trace, and it comes.
    host.restart().await?;
    traced(&host, "POST", "/runtime/webhooks/durabletask/orchestrators/Greeter/g", "\"you\"")
        .await?;
    let spans = self::spans(&collector, "Greeter", 1).await?;
    the(&spans, "Votes");
    Ok(())
}

/// Also by a host that has no collector: it hands on what it was given.
#[tokio::test]
async fn requests_of_activities_carry_the_trace_on() -> Result<()> {
    let seen = Arc::new(Mutex::new(Vec::<(String, String)>::new()));
    let sees = Arc::clone(&seen);
    let look = move |headers: HeaderMap| {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        sees.lock().unwrap().push((text("traceparent"), text("tracestate")));
        async { "seen" }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    drop(tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/", get(look))).await },
    ));
    let allowed = "[outgoing_http]\nallow = [\"127.0.0.1\"]\n";
    let host = HostProcess::start(options(&[guests::MONITOR]).config(allowed)).await?;
    let start = "/runtime/webhooks/durabletask/orchestrators/Fetch/f";
    traced(&host, "POST", start, &format!("{url:?}")).await?;
    let wait = format!("{INSTANCES}/f");
    eventually("it is fetched", START_DEADLINE, || async {
        let status = host.client().get(&wait).await.ok()?.json().ok()?;
        (status["runtimeStatus"] == "Completed").then_some(())
    })
    .await?;
    let seen = seen.lock().unwrap().clone();
    let [(parent, state)] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains(CALLER), "it is below the attempt: {parent}");
    assert_eq!(state, "vendor=1");
    Ok(())
}

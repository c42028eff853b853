//! Prints what turns of guests cost: `cargo run --release -p everstate-runtime --example turn_costs
//! -- guest_database.wasm`. One thread, no engine: the runtime alone.

use std::env;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{
    EntityOperation, EntityWorkItem, FoundFunction, GuestExecutor, HttpFunctions, HttpRequest,
    HttpResponse, OrchestrationResult, OrchestrationWorkItem, StatusResponses,
};
use everstate_runtime::{Runtime, RuntimeConfig};
use everstate_types::{
    EntityId, EntityState, EventKind, ExecutionId, FunctionKind, HistoryEvent, InstanceId, Payload,
    Timestamp,
};
use uuid::Uuid;

const ROUNDS: u32 = 20_000;

#[derive(Debug)]
struct NoResponses;

impl StatusResponses for NoResponses {
    fn check_status(&self, _base_url: &str, _id: &InstanceId, _error: bool) -> HttpResponse {
        HttpResponse { status: 202, headers: Vec::new(), body: bytes::Bytes::new() }
    }

    fn history(&self, _status: &InstanceStatus, _shows_output: bool) -> Payload {
        Payload::null()
    }

    fn finished(&self, _status: &InstanceStatus, _error: bool) -> HttpResponse {
        HttpResponse { status: 200, headers: Vec::new(), body: bytes::Bytes::new() }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("name the file of the guest `database`")?;
    let data = tempfile::tempdir()?;
    let start = Instant::now();
    let runtime = Runtime::new(RuntimeConfig::default(), data.path(), Arc::new(NoResponses))?;
    report_total("start", start);
    for name in ["compiled", "from cache"] {
        let start = Instant::now();
        let component = runtime.load(name, fs::read(&path)?).await?;
        runtime.publish(&[component]);
        report_total(&format!("load, {name}"), start);
    }
    entity_operations(&runtime).await?;
    orchestrations(&runtime).await?;
    http_requests(&runtime).await?;
    Ok(())
}

async fn entity_operations(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let entity = EntityId::new("Register", "1")?;
    let item = EntityWorkItem {
        entity,
        state: EntityState { value: Some(Payload::from("\"my-value\"")), ..EntityState::default() },
        operations: vec![EntityOperation {
            request_id: Uuid::nil(),
            operation: "set".to_owned(),
            input: Some(Payload::from("\"another value\"")),
            trace: None,
        }],
    };
    let first = runtime.run_entity(item.clone()).await;
    first.results[0].result.as_ref().map_err(|failure| failure.error_message.clone())?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        runtime.run_entity(item.clone()).await;
    }
    report("entity operation, live instance", start);
    Ok(())
}

async fn orchestrations(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let (first, second) = two_turns(runtime)?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let outcome = runtime.run_orchestration(first.clone()).await;
        assert_eq!(outcome.result, OrchestrationResult::Waiting);
        runtime.forget(&first.instance_id);
    }
    report("orchestrator, fresh instance, first turn, dropped", start);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        runtime.run_orchestration(first.clone()).await;
        let outcome = runtime.run_orchestration(second.clone()).await;
        assert!(matches!(outcome.result, OrchestrationResult::Completed(_)), "{outcome:?}");
    }
    report("orchestrator, first turn and resumed to its end", start);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        runtime.run_orchestration(second.clone()).await;
    }
    report("orchestrator, replayed to its end", start);
    Ok(())
}

/// The turns of an execution that calls an entity and returns what it gives.
fn two_turns(
    runtime: &Runtime,
) -> Result<(OrchestrationWorkItem, OrchestrationWorkItem), Box<dyn Error>> {
    let found = runtime
        .find(FunctionKind::Orchestrator, "Database_PUT_Orchestrator")
        .ok_or("not the guest `database`")?;
    let event = |kind| HistoryEvent::new(Timestamp::from_millis(1), kind);
    let started = event(EventKind::OrchestratorStarted);
    let execution = event(EventKind::ExecutionStarted {
        name: found.name.clone(),
        version: None,
        input: Payload::from(r#"{"Key":"1","Value":"my-value"}"#),
        parent: None,
        tags: Vec::new(),
        scheduled_start: None,
    });
    let called = EventKind::EntityOperationCalled {
        request_id: Uuid::nil(),
        entity: EntityId::new("Register", "1")?,
        operation: "set".to_owned(),
        input: Some(Payload::from("\"my-value\"")),
    };
    let called = HistoryEvent::of_action(0, Timestamp::from_millis(1), called);
    let completed = event(EventKind::EntityOperationCompleted {
        scheduled_id: 0,
        request_id: Uuid::nil(),
        output: Some(Payload::from("\"my-value\"")),
    });
    let first = OrchestrationWorkItem {
        instance_id: InstanceId::orchestration("an-instance")?,
        execution_id: ExecutionId::new(Uuid::nil()),
        name: found.name,
        component: found.component,
        parent_instance_id: None,
        tags: Vec::new(),
        trace_id: None,
        history: Arc::default(),
        new_events: Arc::new(vec![started.clone(), execution.clone()]),
    };
    let ended = event(EventKind::OrchestratorCompleted);
    let second = OrchestrationWorkItem {
        history: Arc::new(vec![started.clone(), execution, called, ended]),
        new_events: Arc::new(vec![started, completed]),
        ..first.clone()
    };
    Ok((first, second))
}

async fn http_requests(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let function = runtime.http_functions().into_iter().next().ok_or("no HTTP function")?;
    let function = FoundFunction { name: function.name, component: function.component };
    // A key that is too long: the function answers by itself, without the engine.
    let request = HttpRequest {
        method: "GET".to_owned(),
        url: "http://localhost:7071/Database/1".to_owned(),
        base_url: "http://localhost:7071".to_owned(),
        route_values: vec![("key".to_owned(), "\n".to_owned())],
        query: Vec::new(),
        headers: vec![("host".to_owned(), "localhost:7071".to_owned())],
        body: bytes::Bytes::new(),
        trace: None,
    };
    let answer = runtime.handle(function.clone(), request.clone()).await?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        runtime.handle(function.clone(), request.clone()).await?;
    }
    report(&format!("HTTP request, live instance, status {}", answer.response.status), start);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn report(what: &str, start: Instant) {
    let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!("{micros:8.2} us  {what}");
}

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn report_total(what: &str, start: Instant) {
    println!("{:8.2} ms  {what}", start.elapsed().as_secs_f64() * 1e3);
}

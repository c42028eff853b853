//! Functions that fail in every way a guest can, to show that they hurt nobody else.
//!
//! `Faults/{kind}/{what}` lets a function of that kind (`http`, `orchestrator`, `entity`) do it:
//! `panic`, `trap`, `loop`, `allocate`, `deep` or `fail`. The entity changes its state first and
//! fails then; its operation `get` shows that nothing of that is left.

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, entity, http_trigger, orchestrator,
};

#[http_trigger(route = "Faults/{kind}/{what}")]
fn Faults_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let what = request.route_value("what").unwrap_or_default();
    let orchestrator = match request.route_value("kind") {
        Some("http") => {
            misbehave(what)?;
            return Ok(HttpResponse::text(format!("`{what}` did no harm")));
        }
        Some("orchestrator") => "Faults_Orchestrator",
        Some("entity") => "Faults_Entity_Orchestrator",
        _ => return Err(HttpError::not_found("the kinds are http, orchestrator and entity")),
    };
    let instance_id = client.start_new(orchestrator, what)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

#[orchestrator]
async fn Faults_Orchestrator(_: OrchestrationContext, what: String) -> Result<(), Failure> {
    misbehave(&what)
}

#[orchestrator]
async fn Faults_Entity_Orchestrator(
    context: OrchestrationContext,
    what: String,
) -> Result<Option<String>, Failure> {
    let faulty = EntityId::new("Faulty", "1")?;
    context.call_entity(&faulty, &what, &()).await
}

#[entity]
fn Faulty(context: &mut EntityContext) -> Result<Option<String>, Failure> {
    match context.operation_name().to_owned().as_str() {
        "get" => context.get_state(),
        "set" => {
            context.set_state("kept")?;
            Ok(Some("kept".to_owned()))
        }
        what => {
            context.set_state("of a failed operation")?;
            misbehave(what)?;
            Ok(None)
        }
    }
}

fn misbehave(what: &str) -> Result<(), Failure> {
    match what {
        "panic" => panic_as_asked(),
        "trap" => trap(),
        "loop" => loop {
            std::hint::black_box(());
        },
        "allocate" => allocate(),
        "deep" => {
            std::hint::black_box(recurse(1));
            Ok(())
        }
        "fail" => Err(Failure::new("AskedToFail", "failed as asked")),
        other => Err(Failure::unknown_operation(other)),
    }
}

#[expect(clippy::panic, reason = "that is what was asked for")]
fn panic_as_asked() -> ! {
    panic!("panicked as asked")
}

fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

/// Asks for memory until there is none.
fn allocate() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Goes down until the stack ends; the buffer keeps each call from being folded into the last.
#[expect(unconditional_recursion, reason = "that is what was asked for")]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame[7]
}

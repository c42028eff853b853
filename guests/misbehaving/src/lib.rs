//! Does what guests must not: `POST /Misbehave/{place}/{how}`.
//!
//! The place is `http`, `orchestrator` or `entity`; how is `trap`, `loop` or `allocate`, which the host
//! must end without being moved otherwise, `toil`, which takes long but ends, or anything else.

use std::hint::black_box;

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, entity, http_trigger, orchestrator,
};

#[http_trigger(route = "Misbehave/{place}/{how}", methods = ["POST"])]
fn Misbehave_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let how: String = request.parse_route_value("how")?;
    let orchestrator = match request.route_value("place") {
        Some("http") => return Ok(HttpResponse::text(misbehave(&how))),
        Some("orchestrator") => "Misbehave_Orchestrator",
        Some("entity") => "Misbehave_Entity_Orchestrator",
        _ => return Err(HttpError::not_found("no such place")),
    };
    let id = client.start_new(orchestrator, &how)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

#[orchestrator]
async fn Misbehave_Orchestrator(
    _context: OrchestrationContext,
    how: String,
) -> Result<String, Failure> {
    Ok(misbehave(&how))
}

#[orchestrator]
async fn Misbehave_Entity_Orchestrator(
    context: OrchestrationContext,
    how: String,
) -> Result<String, Failure> {
    let entity = EntityId::new("Misbehaving", &how)?;
    context.call_entity(&entity, "misbehave", &how).await
}

/// Sets its state before it misbehaves, which must leave no trace.
#[entity]
fn Misbehaving(context: &mut EntityContext) -> Result<String, Failure> {
    let how: String = context.input()?;
    context.set_state(&how)?;
    Ok(misbehave(&how))
}

#[expect(clippy::panic, reason = "trapping is what is asked for")]
fn misbehave(how: &str) -> String {
    match how {
        "trap" => panic!("asked to trap"),
        "loop" => loop {
            black_box(how);
        },
        "allocate" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "toil" => {
            for step in 0..500_000_000_u64 {
                black_box(step);
            }
            how.to_owned()
        }
        _ => how.to_owned(),
    }
}

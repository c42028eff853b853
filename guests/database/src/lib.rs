//! A key-value database out of durable functions.
//!
//! Each key is a `Register`, an entity that holds one value. An HTTP function starts an
//! orchestration for each request and answers with what it returns.

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, entity, http_trigger, orchestrator,
};
use serde::{Deserialize, Serialize};

/// What is to be written where.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteOperation {
    key: String,
    value: String,
}

/// One value. `set` stores its input and returns it, `get` returns the value or null.
#[entity]
fn Register(context: &mut EntityContext) -> Result<Option<String>, Failure> {
    match context.operation_name() {
        "set" => {
            let value: String = context.input()?;
            context.set_state(&value)?;
            Ok(Some(value))
        }
        "get" => context.get_state(),
        other => Err(Failure::unknown_operation(other)),
    }
}

#[orchestrator]
async fn Database_GET_Orchestrator(
    context: OrchestrationContext,
    key: String,
) -> Result<Option<String>, Failure> {
    let register = EntityId::new("Register", &key)?;
    context.call_entity(&register, "get", &()).await
}

#[orchestrator]
async fn Database_PUT_Orchestrator(
    context: OrchestrationContext,
    write: WriteOperation,
) -> Result<String, Failure> {
    let register = EntityId::new("Register", &write.key)?;
    context.call_entity(&register, "set", &write.value).await
}

#[http_trigger(route = "Database/{key}", methods = ["GET", "PUT"])]
fn Database_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let key = request.route_value("key").unwrap_or_default().to_owned();
    // A key that no register can have is the caller's mistake, not a failed orchestration.
    EntityId::new("Register", &key)?;

    let instance_id = if request.method() == "GET" {
        client.start_new("Database_GET_Orchestrator", &key)?
    } else {
        let value = request.text()?;
        client.start_new("Database_PUT_Orchestrator", &WriteOperation { key, value })?
    };
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

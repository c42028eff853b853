//! Activities that reach outside, and functions of the other kinds that try to. For the runtime's tests.

use everstate_sdk::{
    ActivityContext, DurableClient, EntityContext, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, activity, entity, http_trigger, orchestrator,
};
use serde::Serialize;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// Bytes that are read at a time.
const READ_BYTES: u64 = 64 << 10;

/// What an activity was given.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    name: String,
    input: String,
    instance_id: String,
    idempotency_key: String,
    attempt: u32,
    tags: Vec<(String, String)>,
}

#[activity]
fn Outbound_Given(context: ActivityContext, input: String) -> Given {
    Given {
        name: context.name().to_owned(),
        input,
        instance_id: context.instance_id().to_owned(),
        idempotency_key: context.idempotency_key().to_owned(),
        attempt: context.attempt(),
        tags: context.tags().to_vec(),
    }
}

/// Sends a GET and gives status and body.
#[activity]
fn Outbound_Get(_context: ActivityContext, url: String) -> Result<String, Failure> {
    get(&url).map_err(|error| Failure::new("GetFailed", error))
}

/// The same under another name.
#[activity]
fn Outbound_Get_Other(_context: ActivityContext, url: String) -> Result<String, Failure> {
    get(&url).map_err(|error| Failure::new("GetFailed", error))
}

/// Signals an entity, and sends a GET when it was told that the signal is accepted.
#[activity]
fn Outbound_Signal_Get(context: ActivityContext, url: String) -> Result<String, Failure> {
    let entity = everstate_sdk::EntityId::new("Outbound_Entity", "signaled")?;
    context.client().signal_entity(&entity, "signaled", &())?;
    get(&url).map_err(|error| Failure::new("GetFailed", error))
}

/// Asks for a response that only HTTP functions can have.
#[activity]
fn Outbound_CheckStatus(context: ActivityContext, instance_id: String) -> Result<(), Failure> {
    let client = context.client();
    client.create_check_status_response(&instance_id)?;
    Ok(())
}

#[activity]
fn Outbound_Variables(_context: ActivityContext, _input: Option<String>) -> Vec<(String, String)> {
    std::env::vars().collect()
}

/// Ends badly in the way that is asked for.
#[activity]
#[expect(clippy::panic, reason = "trapping is what is asked for")]
fn Outbound_Misbehave(_context: ActivityContext, how: String) -> Result<String, Failure> {
    match how.as_str() {
        "trap" => panic!("asked to trap"),
        "loop" => loop {
            std::hint::black_box(&how);
        },
        "sleep" => {
            #[expect(clippy::disallowed_methods, reason = "to be cut off")]
            std::thread::sleep(std::time::Duration::from_secs(3_600));
            Ok(how)
        }
        "fail" => Err(Failure::new("Asked", "asked to fail").non_retriable()),
        _ => Ok(how),
    }
}

/// `GET Outbound/{what}`: `variables`, or a `?url=…` that is sent a GET.
#[http_trigger(route = "Outbound/{what}", methods = ["GET"])]
fn Outbound_HttpStart(
    request: HttpRequest,
    _client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    match (request.route_value("what"), request.query("url")) {
        (Some("variables"), _) => {
            let variables: Vec<_> = std::env::vars().collect();
            Ok(HttpResponse::ok_json(&variables)?)
        }
        (_, Some(url)) => Ok(HttpResponse::text(get(url).unwrap_or_else(|error| error))),
        _ => Err(HttpError::not_found("nothing to do")),
    }
}

/// Sends a GET, which it must not.
#[orchestrator]
async fn Outbound_Orchestrator(
    _context: OrchestrationContext,
    url: String,
) -> Result<String, Failure> {
    get(&url).map_err(|error| Failure::new("GetFailed", error))
}

/// Sends a GET, which it must not; or gives the names of its variables.
#[entity]
fn Outbound_Entity(context: &mut EntityContext) -> Result<String, Failure> {
    match context.operation_name() {
        "get" => get(&context.input::<String>()?).map_err(|error| Failure::new("GetFailed", error)),
        "variables" => Ok(std::env::vars().map(|(name, _)| name).collect()),
        _ => Ok(String::new()),
    }
}

fn get(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or("only http")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path).filter(|path| !path.is_empty())));
    set.map_err(|()| "a bad URL")?;
    let response = handle(request, None).map_err(|error| format!("refused: {error:?}"))?;
    response.subscribe().block();
    let response = response.get().ok_or("no response")?.map_err(|()| "taken before")?;
    let response = response.map_err(|error| format!("failed: {error:?}"))?;
    let body = read(&response)?;
    Ok(format!("{} {body}", response.status()))
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().map_err(|()| "consumed before")?;
    let stream = body.stream().map_err(|()| "taken before")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return String::from_utf8(bytes).map_err(|e| e.to_string()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(format!("broke off: {code:?}"));
            }
        }
    }
}

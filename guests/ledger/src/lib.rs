//! Ledgers whose entries can be counted: each posting has a token, is written into two ledgers, one
//! after the other, and is signalled to a tally. However often the host dies in between, each token
//! must end up in both ledgers and in the tally exactly once.
//!
//! `POST /Ledger/{account}/{token}` posts, under the token as the orchestration's id; with `?way=long` over
//! activities, timers, events, children and a second generation (`journey.rs`).
//! `GET /Ledger/{account}` answers with all three.

mod journey;

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, StartOptions, entity, http_trigger, orchestrator,
};
use serde::{Deserialize, Serialize};

/// What a posting says.
#[derive(Serialize, Deserialize)]
struct Posting {
    account: String,
    token: String,
}

/// What `GET` answers with.
#[derive(Serialize, Deserialize)]
struct Account {
    /// Every token that the first ledger took, in order.
    first: Vec<String>,
    /// Every token that the second ledger took, in order.
    second: Vec<String>,
    /// How many signals the tally got.
    tally: u64,
}

/// The tokens of an account, in the order in which they came. Tells the tally about those of the
/// first ledger.
#[entity]
fn Ledger(context: &mut EntityContext) -> Result<Vec<String>, Failure> {
    let mut tokens: Vec<String> = context.get_state()?.unwrap_or_default();
    match context.operation_name() {
        "append" => {
            tokens.push(context.input()?);
            context.set_state(&tokens)?;
            if let Some(account) = context.key().strip_prefix("first-") {
                let tally = EntityId::new("Tally", account)?;
                context.signal_entity(&tally, "add", &())?;
            }
            Ok(Vec::new())
        }
        "get" => Ok(tokens),
        other => Err(Failure::unknown_operation(other)),
    }
}

/// Counts signals.
#[entity]
fn Tally(context: &mut EntityContext) -> Result<u64, Failure> {
    let count: u64 = context.get_state()?.unwrap_or_default();
    match context.operation_name() {
        "add" => {
            context.set_state(&(count + 1))?;
            Ok(count + 1)
        }
        "get" => Ok(count),
        other => Err(Failure::unknown_operation(other)),
    }
}

/// Writes the token into the first ledger, then into the second.
#[orchestrator]
async fn Ledger_Post_Orchestrator(
    context: OrchestrationContext,
    posting: Posting,
) -> Result<String, Failure> {
    for side in ["first", "second"] {
        let ledger = EntityId::new("Ledger", &format!("{side}-{}", posting.account))?;
        let _entries: Vec<String> = context.call_entity(&ledger, "append", &posting.token).await?;
    }
    Ok(posting.token)
}

/// Reads both ledgers and the tally.
#[orchestrator]
async fn Ledger_Get_Orchestrator(
    context: OrchestrationContext,
    account: String,
) -> Result<Account, Failure> {
    let first = EntityId::new("Ledger", &format!("first-{account}"))?;
    let second = EntityId::new("Ledger", &format!("second-{account}"))?;
    let tally = EntityId::new("Tally", &account)?;
    Ok(Account {
        first: context.call_entity(&first, "get", &()).await?,
        second: context.call_entity(&second, "get", &()).await?,
        tally: context.call_entity(&tally, "get", &()).await?,
    })
}

/// Posts a token and answers with it.
#[http_trigger(route = "Ledger/{account}/{token}", methods = ["POST"])]
fn Ledger_Post(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let posting = Posting {
        account: request.parse_route_value("account")?,
        token: request.parse_route_value("token")?,
    };
    let options =
        StartOptions { instance_id: Some(posting.token.clone()), ..StartOptions::default() };
    let id = if request.query("way") == Some("long") {
        let input = journey::begin(posting);
        client.start_new_with_options("Ledger_Journey_Orchestrator", &input, &options)?
    } else {
        client.start_new_with_options("Ledger_Post_Orchestrator", &posting, &options)?
    };
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

/// Answers with both ledgers and the tally.
#[http_trigger(route = "Ledger/{account}", methods = ["GET"])]
fn Ledger_Get(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let account: String = request.parse_route_value("account")?;
    let id = client.start_new("Ledger_Get_Orchestrator", &account)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

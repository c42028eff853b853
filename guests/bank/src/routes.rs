//! The HTTP functions.

use everstate_sdk::{
    DurableClient, EntityFilter, HttpError, HttpRequest, HttpResponse, StartOptions, http_trigger,
};

use crate::account::Account;
use crate::orchestrators::{Opening, Transfer};

#[http_trigger(route = "Bank/open", methods = ["POST"])]
fn Bank_Open_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let id = client.start_new("Bank_Open", &request.json::<Opening>()?)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

#[http_trigger(route = "Bank/transfer", methods = ["POST"])]
fn Bank_Transfer_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let transfer: Transfer = request.json()?;
    let options = StartOptions {
        instance_id: request.query("id").map(str::to_owned),
        ..StartOptions::default()
    };
    let id = client.start_new_with_options("Bank_Transfer", &transfer, &options)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

/// Without a number of accounts: all that are there.
#[http_trigger(route = "Bank/audit", methods = ["GET"])]
fn Bank_Audit_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let accounts: u64 = match request.query("accounts") {
        Some(number) => {
            number.parse().map_err(|_| HttpError::bad_request("`accounts` is a number"))?
        }
        None => {
            let name = Some("Account".to_owned());
            client.count_entities(&EntityFilter { name, ..EntityFilter::default() })?
        }
    };
    let id = client.start_new("Bank_Audit", &accounts)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
}

/// Asks the account itself, without an orchestration. It may be in the middle of a transfer: what is seen
/// here is right for this account, and says nothing of others.
#[http_trigger(route = "Bank/{account}", methods = ["GET"])]
fn Bank_Balance(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let account = Account::proxy(request.route_value("account").unwrap_or_default())?;
    Ok(HttpResponse::ok_json(&account.balance().call(&client)?)?)
}

//! Claims the route of `guests/database` under another function name: two components with it and one
//! answer.

use everstate_sdk::{HttpError, HttpRequest, HttpResponse, http_trigger};

/// Answers with its own name, so that one sees who answered.
#[http_trigger(route = "Database/{key}", methods = ["GET", "PUT"])]
fn Rival_HttpStart(_request: HttpRequest) -> Result<HttpResponse, HttpError> {
    Ok(HttpResponse::text("rival"))
}

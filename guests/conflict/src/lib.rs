//! Claims a name and a route that `guests/database` has too, so that a host with both components
//! must say which one it does not take, and why.

use everstate_sdk::{EntityContext, Failure, HttpRequest, HttpResponse, entity, http_trigger};

/// The same name as the database's entity.
#[entity]
fn Register(context: &mut EntityContext) -> Result<String, Failure> {
    context.input()
}

/// The same route as the database's HTTP function.
#[http_trigger(route = "Database/{key}", methods = ["GET", "PUT"])]
fn Conflict_HttpStart(_: HttpRequest) -> HttpResponse {
    HttpResponse::text("the function of guests/conflict")
}

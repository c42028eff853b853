//! Every operation of the client as a route. Bodies are JSON, points in time are milliseconds since
//! 1970-01-01T00:00:00Z, statuses are answered as documents, what is not there as 404, what its
//! state forbids as 409, and what makes no sense as 400.
//!
//! - `POST lifecycle/start/{name}?id=&startAt=&onConflict=&tags=a:1,b:2` with the input,
//! - `GET lifecycle/status/{id}?history=true`,
//! - `GET lifecycle/wait/{id}?timeout=`, `GET lifecycle/wait-start/{id}?timeout=`,
//! - `POST lifecycle/raise/{id}/{event}` with the data,
//! - `POST lifecycle/terminate/{id}?reason=&recursive=true`,
//! - `POST lifecycle/suspend/{id}?reason=`, `resume`, `rewind` alike,
//! - `POST lifecycle/restart/{id}?newId=true`,
//! - `POST lifecycle/purge/{id}?recursive=true`,
//! - `POST lifecycle/purge-many`, `GET lifecycle/count`, `GET lifecycle/query?pageSize=&token=`, each
//!   with a filter: `name=&statuses=Failed,Completed&createdFrom=&createdTo=&prefix=&tags=&customStatus=`,
//! - `POST lifecycle/signal/{entity}/{key}/{operation}?at=&idempotencyKey=` with the input,
//! - `POST lifecycle/call/{entity}/{key}/{operation}?timeout=` with the input: the result, or a 422 with
//!   the failure; with `?signalFirst=` it signals that operation before, with the same input,
//! - `GET lifecycle/entity/{entity}/{key}` gives an entity's state,
//! - `GET lifecycle/entity-status/{entity}/{key}?state=true` gives all that is known of it,
//! - `POST lifecycle/release-lock/{entity}/{key}`,
//! - `GET lifecycle/entities?pageSize=&token=&state=true`, `GET lifecycle/count-entities`, both with a
//!   filter: `name=&prefix=&from=&to=&field=owner:"ada"&field=…&stateless=true`.
//!
//! The orchestrator `Courier` raises an event at another orchestration: whoever starts it under an
//! id of its own raises the event once, however often it has to ask.

mod courier;
mod entities;
mod entity_lists;
mod finding;
mod one;
mod parameters;
mod starting;

//! Tests of the HTTP server from outside: real sockets, fake functions, a fake engine.

mod backup;
mod deployments;
mod entities;
mod http2;
mod inspect;
mod lifecycle;
mod management;
mod server;
mod starts;
mod support;
mod telemetry;
mod trigger;

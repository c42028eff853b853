//! [`Operation`]: an operation on an entity as a typed proxy writes it down, to be called or
//! signalled by whoever may.
//!
//! The proxies themselves are made by the attributes: `#[entity]` on an `impl` block makes one for
//! the component's own entity, `#[entity_proxy]` on a trait one for that of another component.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::DurableClient;
use crate::entity::EntityContext;
use crate::error::{ClientError, Failure};
use crate::executor::DurableFuture;
use crate::id::EntityId;
use crate::orchestration::OrchestrationContext;
use crate::payload::to_optional_json;
use crate::time::Timestamp;

/// An operation on an entity that has not been asked for yet: which, with what input, and of what
/// type its result is.
///
/// Orchestrations and clients call it and get the result; they and entities signal it, and nothing
/// comes back. An input without a JSON form shows as a failure only then.
///
/// ```no_run
/// use everstate_sdk::{DurableClient, Failure, HttpError, HttpRequest, HttpResponse};
/// use everstate_sdk::{OrchestrationContext, entity, http_trigger, orchestrator};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Counter {
///     value: i64,
/// }
///
/// #[entity]
/// impl Counter {
///     fn add(&mut self, amount: i64) -> i64 {
///         self.value += amount;
///         self.value
///     }
/// }
///
/// #[orchestrator]
/// async fn Count(context: OrchestrationContext, key: String) -> Result<i64, Failure> {
///     Counter::proxy("total")?.add(1).signal(&context)?;
///     Counter::proxy(&key)?.add(1).call(&context).await
/// }
///
/// #[http_trigger(route = "Counters/{key}", methods = ["POST"])]
/// fn Counters(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
///     let key = request.route_value("key").unwrap_or_default();
///     let value: i64 = Counter::proxy(key)?.add(1).call(&client)?;
///     Ok(HttpResponse::text(value.to_string()))
/// }
/// # fn main() {}
/// ```
#[must_use = "an operation does nothing until it is called or signalled"]
pub struct Operation<T> {
    entity: EntityId,
    name: &'static str,
    /// JSON text, or why there is none.
    input: Result<Option<String>, Failure>,
    result: PhantomData<fn() -> T>,
}

impl<T> Operation<T> {
    /// For the proxies. `&()` is no input.
    #[doc(hidden)]
    pub fn new<I: Serialize + ?Sized>(entity: &EntityId, name: &'static str, input: &I) -> Self {
        let input = to_optional_json(input);
        Self { entity: entity.clone(), name, input, result: PhantomData }
    }

    /// The entity that is meant.
    #[must_use]
    pub fn entity_id(&self) -> &EntityId {
        &self.entity
    }

    /// Asks for the operation. From an orchestration (`&OrchestrationContext`) it begins at once and
    /// gives a [`DurableFuture`] for the result; a client (`&DurableClient`) waits and gives a
    /// `Result<T, ClientError>`.
    pub fn call<C: Caller + ?Sized>(self, by: &C) -> C::Called<T>
    where
        T: DeserializeOwned,
    {
        by.call(self)
    }

    /// Tells the entity to do the operation. Nothing comes back. An entity tells others by its
    /// [`EntityContext`].
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses. A client gets a [`ClientError`],
    /// others get a [`Failure`].
    pub fn signal<S: Signaler + ?Sized>(self, by: &S) -> Result<(), S::Error> {
        by.signal(self, None)
    }

    /// The same, but not before a point in time.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn signal_at<S: Signaler + ?Sized>(self, by: &S, at: Timestamp) -> Result<(), S::Error> {
        by.signal(self, Some(at))
    }

    /// Tells the entity to do the operation, once for each key: as
    /// [`DurableClient::signal_entity_once`].
    ///
    /// # Errors
    /// As [`DurableClient::signal_entity_once`].
    pub fn signal_once(self, by: &DurableClient, idempotency_key: &str) -> Result<(), ClientError> {
        let input = self.input?;
        by.tell_once(&self.entity, self.name, input.as_deref(), None, idempotency_key)
    }

    /// Its parts: the entity, the name, and the input as JSON text.
    pub(crate) fn parts(self) -> Result<(EntityId, &'static str, Option<String>), Failure> {
        Ok((self.entity, self.name, self.input?))
    }
}

/// Not derived, because the type of the result need not have these.
impl<T> Clone for Operation<T> {
    fn clone(&self) -> Self {
        Self {
            entity: self.entity.clone(),
            name: self.name,
            input: self.input.clone(),
            result: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("entity", &self.entity)
            .field("name", &self.name)
            .field("input", &self.input)
            .finish()
    }
}

/// Who may call an entity: an orchestration, and a client; in a unit test a
/// [`TestHost`](crate::testing::TestHost). Nobody else implements it.
pub trait Caller: Sealed {
    /// What a call gives: a future in an orchestration, the result itself from a client.
    type Called<T: DeserializeOwned>;

    /// Asks for an operation; [`Operation::call`] reads better.
    fn call<T: DeserializeOwned>(&self, operation: Operation<T>) -> Self::Called<T>;
}

/// Who may signal an entity: an orchestration, a client, and another entity. Nobody else implements
/// it.
pub trait Signaler: Sealed {
    /// What is wrong if it cannot be told.
    type Error;

    /// Tells of an operation, at once or not before `at`; [`Operation::signal`] reads better.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), Self::Error>;
}

use sealed::Sealed;

/// Keeps the traits to this crate.
mod sealed {
    /// Implemented by whoever may be a caller or a signaler.
    pub trait Sealed {}

    impl Sealed for crate::OrchestrationContext {}
    impl Sealed for crate::DurableClient {}
    impl Sealed for crate::EntityContext {}
    #[cfg(not(target_family = "wasm"))]
    impl Sealed for crate::testing::TestHost {}
    impl<S: Sealed + ?Sized> Sealed for &S {}
    impl<S: Sealed + ?Sized> Sealed for &mut S {}
}

impl Caller for OrchestrationContext {
    type Called<T: DeserializeOwned> = DurableFuture<T>;

    fn call<T: DeserializeOwned>(&self, operation: Operation<T>) -> DurableFuture<T> {
        match operation.parts() {
            Ok((entity, name, input)) => self.ask(&entity, name, Ok(input)),
            Err(failure) => DurableFuture::refused(failure),
        }
    }
}

impl Caller for DurableClient {
    type Called<T: DeserializeOwned> = Result<T, ClientError>;

    fn call<T: DeserializeOwned>(&self, operation: Operation<T>) -> Result<T, ClientError> {
        let (entity, name, input) = operation.parts()?;
        self.ask(&entity, name, input.as_deref(), None)
    }
}

impl Signaler for OrchestrationContext {
    type Error = Failure;

    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), Failure> {
        let (entity, name, input) = operation.parts()?;
        self.tell(&entity, name, input.as_deref(), at)
    }
}

impl Signaler for DurableClient {
    type Error = ClientError;

    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), ClientError> {
        let (entity, name, input) = operation.parts()?;
        self.tell(&entity, name, input.as_deref(), at)
    }
}

impl Signaler for EntityContext {
    type Error = Failure;

    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), Failure> {
        let (entity, name, input) = operation.parts()?;
        self.tell(&entity, name, input.as_deref(), at)
    }
}

/// So that `&context` does whether `context` is the context or a reference to it.
impl<C: Caller + ?Sized> Caller for &C {
    type Called<T: DeserializeOwned> = C::Called<T>;

    fn call<T: DeserializeOwned>(&self, operation: Operation<T>) -> C::Called<T> {
        (**self).call(operation)
    }
}

impl<S: Signaler + ?Sized> Signaler for &S {
    type Error = S::Error;

    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), S::Error> {
        (**self).signal(operation, at)
    }
}

impl<S: Signaler + ?Sized> Signaler for &mut S {
    type Error = S::Error;

    fn signal<T>(&self, operation: Operation<T>, at: Option<Timestamp>) -> Result<(), S::Error> {
        (**self).signal(operation, at)
    }
}

//! The attributes of `everstate-sdk`, which re-exports them: use them from there.
//!
//! Each attribute leaves the function as it is written and registers it with the component. What
//! they have in common:
//!
//! - `name = "…"` gives the function another name than its identifier.
//! - A return type written `…Result<T, E>` is taken for a result whose error the host is told;
//!   any other type is the value itself.
//! - A context can be taken by value or as `&` (an entity's as `&mut` only).

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;

mod arguments;
mod entity;
mod expand;
mod function;
mod route;

/// From the arguments and the item of an attribute to what stands in its place.
type Expand = fn(TokenStream2, TokenStream2) -> syn::Result<TokenStream2>;

/// Makes a type or a function an entity.
///
/// # On an `impl` block
///
/// The type is the state, each method is an operation of the same name, whose case does not matter
/// to callers. Functions that are no operations belong into another `impl` block.
///
/// ```no_run
/// use everstate_sdk::{EntityContext, Failure, entity};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Account {
///     owner: String,
///     cents: u64,
/// }
///
/// #[entity(indexes("owner"))]
/// impl Account {
///     fn open(&mut self, owner: &str) {
///         self.owner = owner.to_owned();
///     }
///
///     fn withdraw(&mut self, context: &mut EntityContext, cents: u64) -> Result<u64, Failure> {
///         let left = self.cents.checked_sub(cents);
///         self.cents = left.ok_or_else(|| Failure::new("TooLittle", "there is less than that"))?;
///         Account::proxy("bank")?.deposit(cents).signal(context)?;
///         Ok(self.cents)
///     }
///
///     fn deposit(&mut self, cents: u64) {
///         self.cents += cents;
///     }
///
///     fn balance(&self) -> u64 {
///         self.cents
///     }
/// }
/// # fn main() {}
/// ```
///
/// - The type is `Default` (the state of an entity that has none), `Serialize` and `Deserialize`.
/// - A method takes `&self` or `&mut self`; then, if it wants it, its context (`&mut EntityContext`
///   or `&`); then, if it has one, its input: any type that serde reads and writes, `&str` too. It is
///   not `async` and not generic. It returns what an entity function does.
/// - After a method with `&mut self` the state is written back if the entity is new or its state has
///   changed, unless the method called `delete_state` or `set_state` of its context itself. After one
///   with `&self` it is not.
/// - A method with `&self` and without `&mut EntityContext` is declared as read-only: it changes
///   nothing and sends nothing, does not create the entity, and clients that call it wait for nobody.
/// - `delete` is built in and deletes the state without reading it, unless there is a method of that
///   name.
///
/// `Account::proxy(key)?` gives an `AccountProxy`, whose methods have the names and the inputs of the
/// operations and give an `Operation`, to be called or signalled. It is `pub(crate)`.
///
/// # On a function
///
/// The function does all operations, and switches on `context.operation_name()`. It has one parameter,
/// `&mut EntityContext`; it is not `async` and not generic. It returns `T` or `Result<T, E>` with
/// `T: Serialize` and `E: Into<Failure>`; `()` is no result.
///
/// ```no_run
/// use everstate_sdk::{EntityContext, Failure, entity};
///
/// #[entity(read_only("get"))]
/// fn Counter(context: &mut EntityContext) -> Result<u64, Failure> {
///     let count = context.get_state::<u64>()?.unwrap_or(0);
///     match context.operation_name() {
///         "get" => Ok(count),
///         "add" => {
///             context.set_state(&(count + 1))?;
///             Ok(count + 1)
///         }
///         other => Err(Failure::unknown_operation(other)),
///     }
/// }
/// # fn main() {}
/// ```
///
/// # Arguments
///
/// All of them may be left out.
///
/// - `name = "…"`: the name of the entity; otherwise that of the type or the function.
/// - `time_to_live_s = 3600`: how long an entity lives since its last use, in seconds; then its state is
///   deleted. Without it: for ever. An entity can be given another time with
///   `EntityContext::set_time_to_live`.
/// - `indexes("owner", "city")`: fields at the top level of the state's JSON, at most 8, that entities
///   can be found by (`EntityFilter::fields`).
/// - `version = 2`: the version of the shape of the state, from 1. State of a newer version is not
///   read: the failure is `StateTooNew`.
/// - `upgrade = upgrade_account`: what a state of an older version is given to when it is read,
///   `fn(u32, serde_json::Value) -> Result<serde_json::Value, Failure>`. What it gives is stored when the
///   entity's state is written next. Without it an older state is read as it is.
/// - `read_only("get", …)`, on a function only: the operations that change nothing and send nothing.
///
/// ```no_run
/// use everstate_sdk::{Failure, entity};
/// use serde::{Deserialize, Serialize};
/// use serde_json::{Value, json};
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Visitor {
///     first_name: String,
///     last_name: String,
/// }
///
/// #[entity(time_to_live_s = 86_400, version = 2, upgrade = upgrade_visitor)]
/// impl Visitor {
///     fn name(&self) -> String {
///         format!("{} {}", self.first_name, self.last_name)
///     }
/// }
///
/// /// Version 1 had one name.
/// fn upgrade_visitor(_from: u32, state: Value) -> Result<Value, Failure> {
///     let name = state["name"].as_str().unwrap_or_default();
///     let (first, last) = name.split_once(' ').unwrap_or((name, ""));
///     Ok(json!({ "first_name": first, "last_name": last }))
/// }
/// # fn main() {}
/// ```
///
/// # Generated code
///
/// The function or block, for a block the proxy, and beside it:
///
/// ```ignore
/// const _: () = {
///     fn run(call: EntityCall) -> Result<Option<String>, Failure> {
///         let context = &mut entity_context(call);
///         if is_operation(context, "deposit") {
///             let input: u64 = operation_input(context)?;
///             return change_state(context, |state: &mut Account, _| {
///                 operation_result(Ok(Account::deposit(state, input)))
///             });
///         }
///         // … the other operations …
///         other_operation(context)
///     }
///     static REGISTRATION: Registration = Registration::new(
///         "Account",
///         Run::Entity { options: &EntityOptions { /* … */ }, run },
///     );
///     // A constructor that adds the registration before any export of the component runs.
/// };
/// ```
#[proc_macro_attribute]
pub fn entity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(entity::entity, arguments, item)
}

/// Makes a typed proxy of an entity of another component out of a trait that names its operations.
///
/// # Requirements
///
/// `name` is that of the entity. The methods of the trait look like those of an entity's `impl` block;
/// a context among their parameters is left out. Nobody need implement the trait.
///
/// # Example
///
/// ```no_run
/// use everstate_sdk::{Failure, OrchestrationContext, entity_proxy, orchestrator};
///
/// #[entity_proxy(name = "Counter")]
/// trait CounterOperations {
///     fn add(&mut self, amount: i64) -> i64;
/// }
///
/// #[orchestrator]
/// async fn Count(context: OrchestrationContext, key: String) -> Result<i64, Failure> {
///     CounterOperationsProxy::new(&key)?.add(1).call(&context).await
/// }
/// # fn main() {}
/// ```
///
/// # Generated code
///
/// The trait, and beside it:
///
/// ```ignore
/// pub(crate) struct CounterOperationsProxy { /* … */ }
///
/// impl CounterOperationsProxy {
///     pub(crate) fn new(key: &str) -> Result<Self, IdError> { /* … */ }
///     pub(crate) fn entity_id(&self) -> &EntityId { /* … */ }
///     pub(crate) fn add(&self, amount: i64) -> Operation<i64> {
///         Operation::new(&self.entity, "add", &amount)
///     }
///     pub(crate) fn delete(&self) -> Operation<()> { /* … */ }
/// }
/// ```
#[proc_macro_attribute]
pub fn entity_proxy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(entity::entity_proxy, arguments, item)
}

/// Makes an `async` function an orchestrator.
///
/// # Requirements
///
/// `async`; its first parameter is an `OrchestrationContext`, its second, if it has one, the input
/// as any type that can be deserialized. It returns `T` or `Result<T, E>` with `T: Serialize` and
/// `E: Into<Failure>`. It awaits nothing but what the context returns.
///
/// # Example
///
/// ```no_run
/// use everstate_sdk::{EntityId, Failure, OrchestrationContext, orchestrator};
///
/// #[orchestrator]
/// async fn Count(context: OrchestrationContext, key: String) -> Result<u64, Failure> {
///     let counter = EntityId::new("Counter", &key)?;
///     context.call_entity(&counter, "count", &()).await
/// }
/// # fn main() {}
/// ```
///
/// # Generated code
///
/// The function, and beside it:
///
/// ```ignore
/// const _: () = {
///     fn run() -> Result<String, Failure> {
///         run_orchestrator(|context| async move {
///             let input = orchestrator_input(&context)?;
///             convert_error(Count(context, input).await)
///         })
///     }
///     static REGISTRATION: Registration = Registration::new("Count", Run::Orchestrator(run));
///     // A constructor that adds the registration before any export of the component runs.
/// };
/// ```
#[proc_macro_attribute]
pub fn orchestrator(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(expand::orchestrator, arguments, item)
}

/// Makes a function an activity.
///
/// # Requirements
///
/// Its first parameter is an `ActivityContext`, its second, if it has one, the input as any type
/// that can be deserialized; not `async`, not generic. It returns `T` or `Result<T, E>` with
/// `T: Serialize` and `E: Into<Failure>`.
///
/// # Example
///
/// ```no_run
/// use everstate_sdk::{ActivityContext, activity};
///
/// #[activity]
/// fn Greet(_: ActivityContext, name: String) -> String {
///     format!("Hello, {name}!")
/// }
/// # fn main() {}
/// ```
///
/// # Generated code
///
/// The function, and beside it:
///
/// ```ignore
/// const _: () = {
///     fn run(context: ActivityContext, input: String) -> Result<String, Failure> {
///         let input = activity_input(&context, &input)?;
///         activity_result(Ok(Greet(context, input)))
///     }
///     static REGISTRATION: Registration = Registration::new("Greet", Run::Activity(run));
///     // A constructor that adds the registration before any export of the component runs.
/// };
/// ```
#[proc_macro_attribute]
pub fn activity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(expand::activity, arguments, item)
}

/// Makes a function answer the HTTP requests on a route.
///
/// # Requirements
///
/// `route` is a template like `Database/{key}`, without a slash at its start. `methods` lists
/// methods in upper case; without it the function answers any. `auth` says which key a request must
/// bring: `"anonymous"` (the default) none, `"function"` one of the function or of the host,
/// `"admin"` one of the management; the host refuses others. The function's first parameter is an
/// `HttpRequest`, its second, if it has one, a `DurableClient`; not `async`, not generic. It
/// returns `HttpResponse` or `Result<HttpResponse, E>` with `E: Into<HttpError>`.
///
/// # Example
///
/// ```no_run
/// use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, http_trigger};
///
/// #[http_trigger(route = "Counters/{key}", methods = ["POST"])]
/// fn Count_HttpStart(
///     request: HttpRequest,
///     client: DurableClient,
/// ) -> Result<HttpResponse, HttpError> {
///     let key = request.route_value("key").unwrap_or_default();
///     let instance_id = client.start_new("Count", key)?;
///     Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
/// }
/// # fn main() {}
/// ```
///
/// # Generated code
///
/// The function, and beside it:
///
/// ```ignore
/// const _: () = {
///     fn handle(request: HttpRequest) -> Result<HttpResponse, HttpError> {
///         convert_error(Count_HttpStart(request, client()))
///     }
///     static REGISTRATION: Registration = Registration::new(
///         "Count_HttpStart",
///         Run::Http {
///             methods: &["POST"],
///             route: "Counters/{key}",
///             authorization: Authorization::Anonymous,
///             handle,
///         },
///     );
///     // A constructor that adds the registration before any export of the component runs.
/// };
/// ```
#[proc_macro_attribute]
pub fn http_trigger(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(expand::http_trigger, arguments, item)
}

/// An error becomes a compiler error at the place it is about. The item stays as it was written,
/// so that nothing else is reported because of it.
fn expand_with(expand: Expand, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let written = item.clone();
    expand(arguments.into(), item.into()).map(TokenStream::from).unwrap_or_else(|error| {
        let mut tokens = TokenStream::from(error.to_compile_error());
        tokens.extend(written);
        tokens
    })
}

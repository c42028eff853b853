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
mod expand;
mod function;
mod route;

/// From the arguments and the item of an attribute to what stands in its place.
type Expand = fn(TokenStream2, TokenStream2) -> syn::Result<TokenStream2>;

/// Makes a function an entity.
///
/// # Requirements
///
/// One parameter, `&mut EntityContext`; not `async`, not generic. It returns `T` or
/// `Result<T, E>` with `T: Serialize` and `E: Into<Failure>`; `()` is no result.
///
/// # Example
///
/// ```no_run
/// use everstate_sdk::{EntityContext, Failure, entity};
///
/// #[entity(name = "Counter")]
/// fn count(context: &mut EntityContext) -> Result<u64, Failure> {
///     let count = context.get_state::<u64>()?.unwrap_or(0) + 1;
///     context.set_state(&count)?;
///     Ok(count)
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
///     fn run(context: &mut EntityContext) -> Result<Option<String>, Failure> {
///         operation_result(convert_error(count(context)))
///     }
///     static REGISTRATION: Registration = Registration::new("Counter", Run::Entity(run));
///     // A constructor that adds the registration before any export of the component runs.
/// };
/// ```
#[proc_macro_attribute]
pub fn entity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(expand::entity, arguments, item)
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
/// methods in upper case; without it the function answers any. The function's first parameter is
/// an `HttpRequest`, its second, if it has one, a `DurableClient`; not `async`, not generic. It
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
///         Run::Http { methods: &["POST"], route: "Counters/{key}", handle },
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

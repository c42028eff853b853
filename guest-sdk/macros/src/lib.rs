//! Placeholder docs.
use proc_macro::TokenStream;

mod arguments;
mod expand;
mod function;
mod route;

/// Entity.
#[proc_macro_attribute]
pub fn entity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::entity(arguments.into(), item.into()))
}

/// Orchestrator.
#[proc_macro_attribute]
pub fn orchestrator(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::orchestrator(arguments.into(), item.into()))
}

/// Activity.
#[proc_macro_attribute]
pub fn activity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::activity(arguments.into(), item.into()))
}

/// Http.
#[proc_macro_attribute]
pub fn http_trigger(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::http_trigger(arguments.into(), item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

//! `#[entity]` and `#[entity_proxy]`: an entity as a function, as an `impl` block whose methods are
//! its operations, and the typed proxy of one that is elsewhere.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Item, ItemTrait, Result};

use crate::arguments::function_name;
use crate::expand::{fallible, registration};
use crate::function::{Function, Passing, Shape};

mod block;
mod operation;
mod options;
mod proxy;

use operation::Operations;
use options::{Form, Options};

const ENTITY: Shape = Shape {
    kind: "an entity",
    is_async: false,
    signature: "one parameter, `context: &mut EntityContext`",
    parameter_counts: 1..=1,
};

pub(crate) fn entity(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    match syn::parse2(item.clone()) {
        Ok(Item::Impl(block)) => block::expand(arguments, &block),
        Ok(Item::Fn(_)) | Err(_) => function(arguments, item),
        Ok(other) => {
            let help = "an entity is a function (`fn`), or the `impl` block of a type whose methods \
                        are its operations";
            Err(Error::new_spanned(other, help))
        }
    }
}

pub(crate) fn entity_proxy(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item: ItemTrait = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), "`entity_proxy` stands on a trait whose methods are operations")
    })?;
    let options = Options::parse(Form::Proxy, arguments)?;
    let name = options.name.as_ref().ok_or_else(|| {
        let help = "say of which entity: `#[entity_proxy(name = \"Counter\")]`";
        Error::new(proc_macro2::Span::call_site(), help)
    })?;
    let operations = Operations::of_trait(&item)?;
    let proxy = proxy::expand(&name.value(), &proxy::name(&item.ident), &operations);
    Ok(quote! {
        #[allow(dead_code, non_snake_case, reason = "it says what the proxy can do")]
        #item

        #proxy
    })
}

/// An entity that is a function, and switches on the operation itself.
fn function(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(Form::Function, arguments)?;
    let function = Function::parse(&ENTITY, item)?;
    let context = &function.parameters[0];
    if context.passing != Passing::Mutable {
        return Err(Error::new_spanned(
            &context.r#type,
            "an entity takes its context as `&mut EntityContext`",
        ));
    }
    let item = &function.item;
    let ident = &item.sig.ident;
    let name = function_name(options.name.as_ref(), ident)?;
    let call = quote_spanned!(context.r#type.span()=> #ident(context));
    let call = fallible(function.output, &item.sig.output, &call);
    let run = quote! {
        fn run(
            call: ::everstate_sdk::expansion::EntityCall,
        ) -> ::core::result::Result<
            ::core::option::Option<::std::string::String>,
            ::everstate_sdk::Failure,
        > {
            let context = &mut ::everstate_sdk::expansion::entity_context(call);
            ::everstate_sdk::expansion::operation_result(#call)
        }
    };
    let read_only = &options.read_only;
    let registration = registration(&name, &run, &options.registered(&quote!(#(#read_only),*)));
    Ok(quote! {
        #[allow(non_snake_case, reason = "the host knows the function by its name")]
        #item

        #registration
    })
}

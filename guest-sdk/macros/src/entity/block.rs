//! An entity that is a type: its value is the state, the methods of its `impl` block are the
//! operations.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemImpl, PathArguments, Result, ReturnType, Type};

use crate::arguments::function_name;
use crate::entity::operation::{Operation, Operations};
use crate::entity::options::{Form, Options};
use crate::entity::proxy;
use crate::expand::{fallible, registration};

pub(crate) fn expand(arguments: TokenStream, block: &ItemImpl) -> Result<TokenStream> {
    let options = Options::parse(Form::Block, arguments)?;
    let ident = type_name(block)?;
    let name = function_name(options.name.as_ref(), ident)?;
    let self_type = &block.self_ty;

    let operations = Operations::of_block(block)?;
    let run = run(self_type, &operations);
    let read_only =
        operations.iter().filter(|operation| operation.is_read_only()).map(|operation| {
            let Operation { conditions, name, .. } = operation;
            quote!(#(#conditions)* #name)
        });
    let registration = registration(&name, &run, &options.registered(&quote!(#(#read_only),*)));

    let proxy_name = proxy::name(ident);
    let proxy = proxy::expand(&name, &proxy_name, &operations);
    Ok(quote! {
        #[allow(
            non_snake_case,
            clippy::needless_pass_by_value,
            clippy::unused_self,
            reason = "the host knows the operations by their names and their parameters"
        )]
        #block

        impl #self_type {
            /// The typed proxy of the entity under a key, for those that call and signal it.
            ///
            /// # Errors
            /// A key that no entity can have.
            #[allow(dead_code, reason = "nobody need use it")]
            pub(crate) fn proxy(
                key: &str,
            ) -> ::core::result::Result<#proxy_name, ::everstate_sdk::IdError> {
                #proxy_name::new(key)
            }
        }

        #proxy

        #registration
    })
}

/// The name of the type. It is known by that alone, so there can be only one of it.
fn type_name(block: &ItemImpl) -> Result<&Ident> {
    if let Some((_, r#trait, _)) = &block.trait_ {
        let help = "the operations stand in a plain `impl` block, not in that of a trait";
        return Err(Error::new_spanned(r#trait, help));
    }
    if !block.generics.params.is_empty() {
        let help = "an entity cannot be generic: the host knows it by its name alone";
        return Err(Error::new_spanned(&block.generics, help));
    }
    let help = "an entity is a type with a name and without parameters";
    let Type::Path(path) = &*block.self_ty else {
        return Err(Error::new_spanned(&block.self_ty, help));
    };
    match path.path.segments.last() {
        Some(last) if path.qself.is_none() && matches!(last.arguments, PathArguments::None) => {
            Ok(&last.ident)
        }
        _ => Err(Error::new_spanned(path, help)),
    }
}

/// The function that finds the method for an operation.
fn run(self_type: &Type, operations: &Operations) -> TokenStream {
    let attempts = operations.iter().map(|operation| attempt(self_type, operation));
    quote! {
        fn run(
            call: ::everstate_sdk::expansion::EntityCall,
        ) -> ::core::result::Result<
            ::core::option::Option<::std::string::String>,
            ::everstate_sdk::Failure,
        > {
            let context = &mut ::everstate_sdk::expansion::entity_context(call);
            #(#attempts)*
            ::everstate_sdk::expansion::other_operation(context)
        }
    }
}

/// Runs the method if the operation is its own. What is wrong with a type is blamed at that type.
fn attempt(self_type: &Type, operation: &Operation) -> TokenStream {
    let Operation { ident, name, conditions, .. } = operation;
    let (read_input, input) = match &operation.input {
        Some(input) => {
            let span = input.r#type.span();
            let (owned, is_reference) = input.owned();
            let read = quote_spanned! {span=>
                let input: #owned = ::everstate_sdk::expansion::operation_input(context)?;
            };
            (read, if is_reference { quote_spanned!(span=> , &input) } else { quote!(, input) })
        }
        None => (quote!(), quote!()),
    };
    let (context, context_argument) = match operation.context {
        Some(_) => (quote!(context), quote!(, context)),
        None => (quote!(_), quote!()),
    };
    let call = quote!(<#self_type>::#ident(state #context_argument #input));
    let call = fallible(operation.output, &operation.output_type, &call);
    let output_span = match &operation.output_type {
        ReturnType::Type(_, r#type) => r#type.span(),
        ReturnType::Default => ident.span(),
    };
    let result = quote_spanned!(output_span=> ::everstate_sdk::expansion::operation_result(#call));
    let span = self_type.span();
    let (reference, with_state) = if operation.changes {
        (quote!(&mut #self_type), quote_spanned!(span=> change_state))
    } else {
        (quote!(&#self_type), quote_spanned!(span=> look_at_state))
    };
    let run = quote_spanned! {span=>
        ::everstate_sdk::expansion::#with_state(context, |state: #reference, #context| #result)
    };
    quote! {
        #(#conditions)*
        if ::everstate_sdk::expansion::is_operation(context, #name) {
            #read_input
            return #run;
        }
    }
}

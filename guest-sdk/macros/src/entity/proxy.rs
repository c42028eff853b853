//! The typed proxy: a type whose methods write down operations of an entity.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ReturnType;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::entity::operation::{Operation, Operations, owned};
use crate::function::Output;

/// The proxy's name, from that of the type or trait that it is made from.
pub(crate) fn name(made_from: &Ident) -> Ident {
    format_ident!("{}Proxy", made_from.unraw(), span = made_from.span())
}

/// The proxy of the entity function of that name.
pub(crate) fn expand(entity: &str, proxy: &Ident, operations: &Operations) -> TokenStream {
    let methods = operations.iter().map(method);
    let delete = if has_delete(operations) { quote!() } else { delete() };
    let about = format!(
        "The operations of the entity `{entity}` under one key, for those that call and signal it."
    );
    quote! {
        #[doc = #about]
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(dead_code, reason = "nobody need use it")]
        pub(crate) struct #proxy {
            entity: ::everstate_sdk::EntityId,
        }

        #[allow(
            dead_code,
            non_snake_case,
            private_interfaces,
            clippy::all,
            clippy::pedantic,
            reason = "the methods mirror the operations, and nobody need use them all"
        )]
        impl #proxy {
            /// The proxy of the entity under a key.
            ///
            /// # Errors
            /// A key that no entity can have.
            pub(crate) fn new(
                key: &str,
            ) -> ::core::result::Result<Self, ::everstate_sdk::IdError> {
                let entity = ::everstate_sdk::EntityId::new(#entity, key)?;
                ::core::result::Result::Ok(Self { entity })
            }

            /// The entity that is meant.
            pub(crate) fn entity_id(&self) -> &::everstate_sdk::EntityId {
                &self.entity
            }

            #(#methods)*

            #delete
        }
    }
}

fn has_delete(operations: &Operations) -> bool {
    operations.iter().any(|operation| operation.name.eq_ignore_ascii_case("delete"))
}

fn delete() -> TokenStream {
    quote! {
        /// Deletes the entity's state, without reading it.
        pub(crate) fn delete(&self) -> ::everstate_sdk::Operation<()> {
            ::everstate_sdk::Operation::new(&self.entity, "delete", &())
        }
    }
}

fn method(operation: &Operation) -> TokenStream {
    let Operation { ident, name, conditions, docs, .. } = operation;
    let (parameter, input) = match &operation.input {
        Some(input) => {
            let (name, r#type) = (&input.name, &input.r#type);
            (quote!(, #name: #r#type), quote_spanned!(r#type.span()=> &#name))
        }
        None => (quote!(), quote!(&())),
    };
    let result = result(operation);
    let span = operation.input.as_ref().map_or_else(|| ident.span(), |input| input.r#type.span());
    let new = quote_spanned!(span=> ::everstate_sdk::Operation::new(&self.entity, #name, #input));
    quote! {
        #(#conditions)*
        #(#docs)*
        pub(crate) fn #ident(&self #parameter) -> ::everstate_sdk::Operation<#result> {
            #new
        }
    }
}

/// The type of what callers get.
fn result(operation: &Operation) -> TokenStream {
    let ReturnType::Type(_, r#type) = &operation.output_type else { return quote!(()) };
    let r#type = owned(r#type);
    match operation.output {
        Output::Fallible => quote!(<#r#type as ::everstate_sdk::expansion::Outcome>::Value),
        Output::Plain => r#type,
    }
}

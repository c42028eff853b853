//! The code that the attributes generate: the function as it was written, and beside it a
//! registration with a constructor that adds it to the component's list.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Result, ReturnType};

use crate::arguments::{Allowed, Arguments};
use crate::function::{Function, Output, Parameter, Passing, Shape};

const ORCHESTRATOR: Shape = Shape {
    kind: "an orchestrator",
    is_async: true,
    signature: "`context: OrchestrationContext` and, if it has one, its input",
    parameter_counts: 1..=2,
};

const ACTIVITY: Shape = Shape {
    kind: "an activity",
    is_async: false,
    signature: "`context: ActivityContext` and, if it has one, its input",
    parameter_counts: 1..=2,
};

const HTTP: Shape = Shape {
    kind: "an HTTP function",
    is_async: false,
    signature: "`request: HttpRequest` and, if it needs one, `client: DurableClient`",
    parameter_counts: 1..=2,
};

pub(crate) fn orchestrator(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Allowed::Name, arguments)?;
    let function = Function::parse(&ORCHESTRATOR, item)?;
    let name = &function.item.sig.ident;
    let context = argument(&function.parameters[0], "context")?;
    let (read_input, input) = match function.parameters.get(1) {
        Some(input) => {
            let value = argument(input, "input")?;
            let read = quote_spanned! {input.r#type.span()=>
                let input = ::everstate_sdk::expansion::orchestrator_input(&context)?;
            };
            (read, quote!(, #value))
        }
        None => (quote!(), quote!()),
    };
    let span = function.parameters[0].r#type.span();
    let call = fallible(
        function.output,
        &function.item.sig.output,
        &quote_spanned!(span=> #name(#context #input).await),
    );
    let run = quote! {
        fn run() -> ::core::result::Result<::std::string::String, ::everstate_sdk::Failure> {
            ::everstate_sdk::expansion::run_orchestrator(|context| async move {
                #read_input
                #call
            })
        }
    };
    register(&arguments, &function, &run, &quote!(Orchestrator(run)))
}

pub(crate) fn activity(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Allowed::Name, arguments)?;
    let function = Function::parse(&ACTIVITY, item)?;
    let name = &function.item.sig.ident;
    let context = argument(&function.parameters[0], "context")?;
    let (read_input, input) = match function.parameters.get(1) {
        Some(input) => {
            let value = argument(input, "input")?;
            let read = quote_spanned! {input.r#type.span()=>
                let input = ::everstate_sdk::expansion::activity_input(&context, &input)?;
            };
            (read, quote!(, #value))
        }
        None => (quote!(let _: ::std::string::String = input;), quote!()),
    };
    let span = function.parameters[0].r#type.span();
    let call = fallible(
        function.output,
        &function.item.sig.output,
        &quote_spanned!(span=> #name(#context #input)),
    );
    let run = quote! {
        fn run(
            context: ::everstate_sdk::ActivityContext,
            input: ::std::string::String,
        ) -> ::core::result::Result<::std::string::String, ::everstate_sdk::Failure> {
            #read_input
            ::everstate_sdk::expansion::activity_result(#call)
        }
    };
    register(&arguments, &function, &run, &quote!(Activity(run)))
}

pub(crate) fn http_trigger(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Allowed::OfHttp, arguments)?;
    let function = Function::parse(&HTTP, item)?;
    let (route, methods) = (arguments.route()?, arguments.methods());
    let name = &function.item.sig.ident;
    let request = argument(&function.parameters[0], "request")?;
    let client = match function.parameters.get(1) {
        Some(client) if client.passing == Passing::Shared => {
            quote!(, &::everstate_sdk::expansion::client())
        }
        Some(_) => quote!(, ::everstate_sdk::expansion::client()),
        None => quote!(),
    };
    let span = function.parameters[0].r#type.span();
    let call = fallible(
        function.output,
        &function.item.sig.output,
        &quote_spanned!(span=> #name(#request #client)),
    );
    let run = quote! {
        fn handle(
            request: ::everstate_sdk::HttpRequest,
        ) -> ::core::result::Result<::everstate_sdk::HttpResponse, ::everstate_sdk::HttpError> {
            #call
        }
    };
    let level = arguments.authorization();
    let authorization = quote!(::everstate_sdk::expansion::Authorization::#level);
    let kind = quote! {
        Http { methods: &[#(#methods),*], route: #route, authorization: #authorization, handle }
    };
    register(&arguments, &function, &run, &kind)
}

/// The argument for a parameter, by value or by reference as the parameter asks for.
fn argument(parameter: &Parameter, name: &str) -> Result<TokenStream> {
    // Found by its name in the generated code, blamed at the parameter that it does not fit.
    let name = Ident::new(name, Span::call_site().located_at(parameter.r#type.span()));
    match parameter.passing {
        Passing::Value => Ok(quote!(#name)),
        Passing::Shared => Ok(quote!(&#name)),
        Passing::Mutable => Err(Error::new_spanned(
            &parameter.r#type,
            "only an entity's context is a `&mut`; take this by value or as `&`",
        )),
    }
}

/// The call as an expression whose error is the one that the registration wants.
pub(crate) fn fallible(output: Output, r#type: &ReturnType, call: &TokenStream) -> TokenStream {
    let span = r#type.span();
    match output {
        Output::Fallible => {
            quote_spanned!(span=> ::everstate_sdk::expansion::convert_error(#call))
        }
        Output::Plain => quote_spanned!(span=> ::core::result::Result::Ok(#call)),
    }
}

/// The function itself and its registration, which is invisible to the rest of the crate.
fn register(
    arguments: &Arguments,
    function: &Function,
    run: &TokenStream,
    kind: &TokenStream,
) -> Result<TokenStream> {
    let item = &function.item;
    let name = arguments.function_name(&item.sig.ident)?;
    let registration = registration(&name, run, kind);
    Ok(quote! {
        #[allow(
            non_snake_case,
            clippy::needless_pass_by_value,
            clippy::unused_async,
            reason = "the host knows the function by its name and its parameters"
        )]
        #item

        #registration
    })
}

/// What adds a function to the list of the component, or of a test, before anything else runs.
pub(crate) fn registration(name: &str, run: &TokenStream, kind: &TokenStream) -> TokenStream {
    quote! {
        const _: () = {
            #run

            static REGISTRATION: ::everstate_sdk::expansion::Registration =
                ::everstate_sdk::expansion::Registration::new(
                    #name,
                    ::everstate_sdk::expansion::Run::#kind,
                );

            extern "C" fn add() {
                REGISTRATION.add();
            }

            #[used]
            #[cfg_attr(
                not(any(target_vendor = "apple", target_os = "windows")),
                unsafe(link_section = ".init_array")
            )]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
            #[cfg_attr(target_os = "windows", unsafe(link_section = ".CRT$XCU"))]
            #[allow(unsafe_code, reason = "a constructor of the component")]
            static CONSTRUCTOR: extern "C" fn() = add;
        };
    }
}

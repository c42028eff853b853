//! The function that an attribute stands on: what it may look like, and what is wrong with it.

use proc_macro2::TokenStream;
use syn::{Error, FnArg, ItemFn, Pat, PatType, Result, ReturnType, Type};

/// A function of one of the four kinds, checked.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    /// In order; there is no `self` among them.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) r#type: Type,
    /// How the argument is passed.
    pub(crate) passing: Passing,
}

/// How an argument is passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    Value,
    Shared,
    Mutable,
}

/// What the function returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// A type that is written `…Result` or `…Result<…>`.
    Fallible,
    /// Any other type, or none.
    Plain,
}

/// What a kind of function asks for.
pub(crate) struct Shape {
    /// For messages: `an orchestrator`.
    pub(crate) kind: &'static str,
    pub(crate) is_async: bool,
    /// For messages: what the parameters are.
    pub(crate) signature: &'static str,
    pub(crate) parameter_counts: std::ops::RangeInclusive<usize>,
}

impl Function {
    pub(crate) fn parse(shape: &Shape, tokens: TokenStream) -> Result<Self> {
        let item: ItemFn = syn::parse2(tokens.clone()).map_err(|error| {
            match syn::parse2::<syn::Item>(tokens) {
                Ok(syn::Item::Fn(_)) | Err(_) => error,
                Ok(other) => {
                    Error::new_spanned(other, format!("{} is a function (`fn`)", shape.kind))
                }
            }
        })?;
        check_signature(shape, &item)?;
        let parameters = item.sig.inputs.iter().map(Parameter::new).collect::<Result<Vec<_>>>()?;
        let output = Output::new(&item.sig.output);
        Ok(Self { item, parameters, output })
    }
}

impl Parameter {
    fn new(argument: &FnArg) -> Result<Self> {
        let FnArg::Typed(PatType { ty, pat, .. }) = argument else {
            return Err(Error::new_spanned(argument, SELF_PARAMETER));
        };
        if let Pat::Rest(_) = **pat {
            return Err(Error::new_spanned(pat, "a variable number of parameters"));
        }
        let passing = match &**ty {
            Type::Reference(reference) if reference.mutability.is_some() => Passing::Mutable,
            Type::Reference(_) => Passing::Shared,
            _ => Passing::Value,
        };
        Ok(Self { r#type: (**ty).clone(), passing })
    }
}

impl Output {
    pub(crate) fn new(output: &ReturnType) -> Self {
        let ReturnType::Type(_, r#type) = output else { return Self::Plain };
        let Type::Path(path) = &**r#type else { return Self::Plain };
        match path.path.segments.last() {
            Some(last) if last.ident.to_string().ends_with("Result") => Self::Fallible,
            _ => Self::Plain,
        }
    }
}

const SELF_PARAMETER: &str = "a plain function has no `self`; move it out of its `impl`";

fn check_signature(shape: &Shape, item: &ItemFn) -> Result<()> {
    let signature = &item.sig;
    let (kind, expected) = (shape.kind, shape.signature);
    if let Some(receiver) = signature.receiver() {
        return Err(Error::new_spanned(receiver, SELF_PARAMETER));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            format!("{kind} cannot be generic: the host knows it by its name alone"),
        ));
    }
    match (signature.asyncness, shape.is_async) {
        (None, true) => {
            return Err(Error::new_spanned(
                signature.fn_token,
                format!("{kind} must be `async`: it awaits what its context returns"),
            ));
        }
        (Some(token), false) => {
            return Err(Error::new_spanned(
                token,
                format!("{kind} must not be `async`: its calls to the host simply block"),
            ));
        }
        (Some(_), true) | (None, false) => {}
    }
    if let Some(unsafety) = &signature.unsafety {
        return Err(Error::new_spanned(unsafety, format!("{kind} must not be `unsafe`")));
    }
    if !shape.parameter_counts.contains(&signature.inputs.len()) {
        let count = signature.inputs.len();
        let message = format!("{kind} takes {expected}; this one has {count} parameters");
        return Err(Error::new(signature.paren_token.span.join(), message));
    }
    Ok(())
}

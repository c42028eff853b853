//! The methods that are operations: what they may look like, and what is wrong with them.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::{
    Attribute, Error, FnArg, GenericArgument, ImplItem, ItemImpl, ItemTrait, Pat, PatType,
    PathArguments, Receiver, Result, ReturnType, Signature, TraitItem, Type, parse_quote,
};

use crate::function::{Output, Passing};

/// Names that the generated code has already: `entity_id` and `new` of a proxy, `proxy` of the type.
const TAKEN: [&str; 3] = ["entity_id", "new", "proxy"];

/// All operations of an `impl` block or a trait, in the order in which they stand there.
pub(crate) struct Operations(Vec<Operation>);

/// One operation.
pub(crate) struct Operation {
    pub(crate) ident: Ident,
    /// As the host knows it.
    pub(crate) name: String,
    /// Its `#[cfg(…)]`, which what is generated for it has too.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) docs: Vec<Attribute>,
    /// Whether it takes `&mut self`.
    pub(crate) changes: bool,
    /// How it takes its context, if it does.
    pub(crate) context: Option<Passing>,
    pub(crate) input: Option<Input>,
    pub(crate) output: Output,
    pub(crate) output_type: ReturnType,
}

/// The one parameter that callers give.
pub(crate) struct Input {
    pub(crate) name: Ident,
    pub(crate) r#type: Type,
}

impl Operations {
    /// The methods of an `impl` block; its constants are the author's own.
    pub(crate) fn of_block(block: &ItemImpl) -> Result<Self> {
        let itself = block.self_ty.to_token_stream();
        let operations = block.items.iter().filter_map(|item| match item {
            ImplItem::Fn(method) => {
                let named = without_self(method.sig.to_token_stream(), &itself);
                let operation = Operation::new(&method.attrs, &method.sig);
                Some(operation.and_then(|operation| operation.with_types_of(named)))
            }
            ImplItem::Const(_) => None,
            other => Some(Err(no_method(other))),
        });
        Self::collect(operations)
    }

    pub(crate) fn of_trait(item: &ItemTrait) -> Result<Self> {
        if !item.generics.params.is_empty() {
            return Err(Error::new_spanned(&item.generics, GENERIC));
        }
        let operations = item.items.iter().map(|item| match item {
            TraitItem::Fn(method) => Operation::new(&method.attrs, &method.sig),
            other => Err(no_method(other)),
        });
        Self::collect(operations)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter()
    }

    /// Tells of all mistakes, not only of the first.
    fn collect(operations: impl Iterator<Item = Result<Operation>>) -> Result<Self> {
        let mut collected: Vec<Operation> = Vec::new();
        let mut mistakes: Option<Error> = None;
        for operation in operations {
            let checked = operation.and_then(|operation| {
                check_distinct(&operation, &collected)?;
                Ok(operation)
            });
            match (checked, &mut mistakes) {
                (Ok(operation), _) => collected.push(operation),
                (Err(mistake), None) => mistakes = Some(mistake),
                (Err(mistake), Some(mistakes)) => mistakes.combine(mistake),
            }
        }
        mistakes.map_or(Ok(Self(collected)), Err)
    }
}

const GENERIC: &str = "an operation cannot be generic: the host knows it by its name alone";

const NO_RECEIVER: &str = "an operation takes `&self` or `&mut self`; a function without belongs into \
                           an `impl` block without `#[entity]`";

impl Operation {
    fn new(attributes: &[Attribute], signature: &Signature) -> Result<Self> {
        let receiver = signature
            .receiver()
            .ok_or_else(|| Error::new_spanned(&signature.ident, NO_RECEIVER))?;
        check_signature(signature)?;
        let changes = changes(receiver)?;
        let mut parameters = signature.inputs.iter().filter_map(|argument| match argument {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        });
        let mut input = parameters.next();
        let context = input.map(context_passing).transpose()?.flatten();
        if context.is_some() {
            input = parameters.next();
        }
        let input = input.map(Input::new).transpose()?;
        if let Some(second) = parameters.next() {
            return Err(Error::new_spanned(second, second_input(second)));
        }
        let named =
            |name| attributes.iter().filter(move |each| each.path().is_ident(name)).cloned();
        Ok(Self {
            ident: signature.ident.clone(),
            name: signature.ident.unraw().to_string(),
            conditions: named("cfg").collect(),
            docs: named("doc").collect(),
            changes,
            context,
            input,
            output: Output::new(&signature.output),
            output_type: signature.output.clone(),
        })
    }

    /// The same operation with the types as another writing of its signature has them.
    fn with_types_of(mut self, signature: TokenStream) -> Result<Self> {
        let signature: Signature = syn::parse2(signature)?;
        if let Some(input) = &mut self.input
            && let Some(FnArg::Typed(last)) = signature.inputs.last()
        {
            input.r#type.clone_from(&last.ty);
        }
        self.output_type = signature.output;
        Ok(self)
    }

    /// Whether it is declared as one that changes nothing and sends nothing.
    pub(crate) fn is_read_only(&self) -> bool {
        !self.changes && self.context != Some(Passing::Mutable)
    }
}

impl Input {
    fn new(parameter: &PatType) -> Result<Self> {
        if is_context(&parameter.ty) {
            return Err(Error::new_spanned(parameter, CONTEXT_FIRST));
        }
        match &*parameter.ty {
            Type::ImplTrait(generic) => return Err(Error::new_spanned(generic, GENERIC)),
            Type::Reference(reference) if reference.mutability.is_some() => {
                let help = "an input is taken by value or as `&`: it is read out of JSON";
                return Err(Error::new_spanned(reference, help));
            }
            _ => {}
        }
        let name = match &*parameter.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("input"),
        };
        Ok(Self { name, r#type: (*parameter.ty).clone() })
    }

    /// The type to read, and whether the method takes a reference to that: `&str` is read as `String`.
    pub(crate) fn owned(&self) -> (TokenStream, bool) {
        match &self.r#type {
            Type::Reference(_) => (owned(&self.r#type), true),
            other => (other.to_token_stream(), false),
        }
    }
}

/// The type with values in the place of references: what JSON can be read into.
pub(crate) fn owned(r#type: &Type) -> TokenStream {
    let mut r#type = r#type.clone();
    own(&mut r#type);
    r#type.to_token_stream()
}

fn own(r#type: &mut Type) {
    match r#type {
        Type::Reference(reference) => {
            let mut target = (*reference.elem).clone();
            own(&mut target);
            *r#type = match target {
                Type::Path(path) if path.path.is_ident("str") => {
                    parse_quote!(::std::string::String)
                }
                Type::Slice(slice) => {
                    let each = slice.elem;
                    parse_quote!(::std::vec::Vec<#each>)
                }
                other => other,
            };
        }
        Type::Slice(slice) => own(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(own),
        Type::Path(path) => {
            let arguments =
                path.path.segments.iter_mut().filter_map(|segment| match &mut segment.arguments {
                    PathArguments::AngleBracketed(arguments) => Some(&mut arguments.args),
                    PathArguments::None | PathArguments::Parenthesized(_) => None,
                });
            for argument in arguments.flatten() {
                if let GenericArgument::Type(r#type) = argument {
                    own(r#type);
                }
            }
        }
        _ => {}
    }
}

/// The same tokens with the type's name where it says `Self`.
fn without_self(tokens: TokenStream, r#type: &TokenStream) -> TokenStream {
    let replaced = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(ident) if ident == "Self" => r#type.clone(),
        TokenTree::Group(group) => {
            let inside = without_self(group.stream(), r#type);
            let mut inner = Group::new(group.delimiter(), inside);
            inner.set_span(group.span());
            TokenTree::Group(inner).into()
        }
        other => other.into(),
    });
    replaced.collect()
}

fn check_signature(signature: &Signature) -> Result<()> {
    if let Some(token) = &signature.asyncness {
        let help = "an operation must not be `async`: its calls to the host simply block";
        return Err(Error::new_spanned(token, help));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new_spanned(token, "an operation must not be `unsafe`"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, GENERIC));
    }
    let name = signature.ident.to_string();
    if TAKEN.contains(&name.as_str()) {
        let help =
            format!("`{name}` is generated for the typed proxy; name the operation otherwise");
        return Err(Error::new_spanned(&signature.ident, help));
    }
    Ok(())
}

/// Whether the method takes `&mut self`.
fn changes(receiver: &Receiver) -> Result<bool> {
    match (&receiver.reference, &*receiver.ty) {
        (Some(_), _) => Ok(receiver.mutability.is_some()),
        (None, Type::Reference(reference)) => Ok(reference.mutability.is_some()),
        _ => {
            let help = "an operation takes `&self` or `&mut self`: the state stays the entity's";
            Err(Error::new_spanned(receiver, help))
        }
    }
}

const CONTEXT_FIRST: &str = "the context comes first, before the input";

fn second_input(parameter: &PatType) -> &'static str {
    if is_context(&parameter.ty) {
        CONTEXT_FIRST
    } else {
        "an operation has one input at most; put several values into a struct or a tuple"
    }
}

/// How the parameter takes the context, if it is one.
fn context_passing(parameter: &PatType) -> Result<Option<Passing>> {
    if !is_context(&parameter.ty) {
        return Ok(None);
    }
    match &*parameter.ty {
        Type::Reference(reference) if reference.mutability.is_some() => Ok(Some(Passing::Mutable)),
        Type::Reference(_) => Ok(Some(Passing::Shared)),
        other => {
            let help = "an operation takes its context as `&mut EntityContext`, or as `&`";
            Err(Error::new_spanned(other, help))
        }
    }
}

fn is_context(r#type: &Type) -> bool {
    match r#type {
        Type::Reference(reference) => is_context(&reference.elem),
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == "EntityContext")
        }
        _ => false,
    }
}

/// The case of names does not matter. Variants under a condition each may share one.
fn check_distinct(operation: &Operation, before: &[Operation]) -> Result<()> {
    let same = before.iter().find(|other| {
        let is_chosen = !operation.conditions.is_empty() && !other.conditions.is_empty();
        other.name.eq_ignore_ascii_case(&operation.name) && !is_chosen
    });
    let Some(same) = same else { return Ok(()) };
    let help = format!(
        "this is the same operation as `{}`: the case of their names does not matter",
        same.name
    );
    Err(Error::new_spanned(&operation.ident, help))
}

fn no_method(item: &impl ToTokens) -> Error {
    Error::new_spanned(item, "only methods are operations; put this elsewhere")
}

//! The arguments of the attributes: `name`, and for HTTP functions `route`, `methods` and
//! `auth`. Those of
//! entities are read by `entity::options`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token, bracketed};

use crate::route;

/// Longest name of a function, in characters; the host refuses longer ones.
const NAME_CHARS_MAX: usize = 256;

/// What a route may be asked for, in upper case.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Who may start an HTTP function, and the variant of `Authorization` that says so.
const LEVELS: [(&str, &str); 3] =
    [("anonymous", "Anonymous"), ("function", "Function"), ("admin", "Admin")];

/// The arguments of one attribute, each checked by itself.
#[derive(Default)]
pub(crate) struct Arguments {
    name: Option<LitStr>,
    route: Option<LitStr>,
    methods: Option<Vec<LitStr>>,
    authorization: Option<&'static str>,
}

/// Which of the arguments an attribute takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    Name,
    OfHttp,
}

impl Arguments {
    pub(crate) fn parse(allowed: Allowed, tokens: proc_macro2::TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| arguments.parse_one(allowed, &meta));
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    fn parse_one(&mut self, allowed: Allowed, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let is_http = allowed == Allowed::OfHttp;
        if meta.path.is_ident("name") {
            set(&mut self.name, parse_name(meta)?, meta)
        } else if is_http && meta.path.is_ident("route") {
            let template: LitStr = meta.value()?.parse()?;
            route::check(&template.value())
                .map_err(|problem| Error::new(template.span(), problem))?;
            set(&mut self.route, template, meta)
        } else if is_http && meta.path.is_ident("methods") {
            let list;
            let value = meta.value()?;
            bracketed!(list in value);
            let methods = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
            methods.iter().try_for_each(check_method)?;
            set(&mut self.methods, methods.into_iter().collect(), meta)
        } else if is_http && meta.path.is_ident("auth") {
            let level: LitStr = meta.value()?.parse()?;
            set(&mut self.authorization, parse_level(&level)?, meta)
        } else if is_http {
            Err(meta.error("unknown argument; there are `route`, `methods`, `auth` and `name`"))
        } else {
            Err(meta.error("unknown argument; there is only `name`"))
        }
    }

    /// The name given, or that of the function as it is written.
    pub(crate) fn function_name(&self, function: &Ident) -> Result<String> {
        function_name(self.name.as_ref(), function)
    }

    pub(crate) fn route(&self) -> Result<&LitStr> {
        self.route.as_ref().ok_or_else(|| {
            let help =
                "an HTTP function needs a route: `#[http_trigger(route = \"Database/{key}\")]`";
            Error::new(Span::call_site(), help)
        })
    }

    /// None: any method.
    pub(crate) fn methods(&self) -> &[LitStr] {
        self.methods.as_deref().unwrap_or_default()
    }

    /// A variant of `Authorization`.
    pub(crate) fn authorization(&self) -> Ident {
        Ident::new(self.authorization.unwrap_or(LEVELS[0].1), Span::call_site())
    }
}

/// The name given, or that of the item as it is written.
pub(crate) fn function_name(given: Option<&LitStr>, item: &Ident) -> Result<String> {
    if let Some(name) = given {
        return Ok(name.value());
    }
    let name = item.unraw().to_string();
    check_name(&name, item.span())?;
    Ok(name)
}

/// A name as an argument.
pub(crate) fn parse_name(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    check_name(&name.value(), name.span())?;
    Ok(name)
}

pub(crate) fn set<T>(place: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if place.is_some() {
        return Err(meta.error("this argument is given twice"));
    }
    *place = Some(value);
    Ok(())
}

fn check_name(name: &str, span: Span) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_allowed) {
        let help = "the name of a function has 1 to 256 ASCII letters, digits, `_`, `-` and `.`; \
                    give another with `name = \"…\"`";
        return Err(Error::new(span, help));
    }
    Ok(())
}

fn check_method(method: &LitStr) -> Result<()> {
    if METHODS.contains(&method.value().as_str()) {
        return Ok(());
    }
    let help = format!("no such method; write one of {} in upper case", METHODS.join(", "));
    Err(Error::new(method.span(), help))
}

fn parse_level(level: &LitStr) -> Result<&'static str> {
    let written = level.value();
    let known = LEVELS.iter().find(|(name, _)| *name == written);
    known.map(|(_, variant)| *variant).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| format!("\"{name}\"")).join(", ");
        Error::new(level.span(), format!("no such authorization level; write one of {names}"))
    })
}

//! The arguments of `#[entity]` and `#[entity_proxy]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, LitInt, LitStr, Path, Result, Token, parenthesized};

use crate::arguments::{parse_name, set};

/// Most fields that the entities of one type are found by; the host refuses more.
const INDEXES_MAX: usize = 8;

/// What the attribute stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Function,
    Block,
    Proxy,
}

impl Form {
    fn arguments(self) -> &'static str {
        match self {
            Self::Function => {
                "there are `name`, `read_only`, `time_to_live_s`, `indexes`, `version` and `upgrade`"
            }
            Self::Block => "there are `name`, `time_to_live_s`, `indexes`, `version` and `upgrade`",
            Self::Proxy => "there is only `name`",
        }
    }
}

/// What the attribute says.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) read_only: Vec<LitStr>,
    time_to_live_ms: Option<u64>,
    indexes: Vec<LitStr>,
    version: Option<u32>,
    upgrade: Option<Path>,
}

impl Options {
    pub(crate) fn parse(form: Form, tokens: TokenStream) -> Result<Self> {
        let mut given = Given::default();
        let parser = syn::meta::parser(|meta| given.parse_one(form, &meta));
        parser.parse2(tokens)?;
        given.checked()
    }

    /// The kind for the registration, given the names of the operations that change nothing.
    pub(crate) fn registered(&self, read_only: &TokenStream) -> TokenStream {
        let indexes = &self.indexes;
        let time_to_live_ms = optional(self.time_to_live_ms.as_ref());
        let version = self.version.unwrap_or(0);
        let upgrade = optional(self.upgrade.as_ref());
        quote! {
            Entity {
                options: &::everstate_sdk::expansion::EntityOptions {
                    read_only: &[#read_only],
                    time_to_live_ms: #time_to_live_ms,
                    indexes: &[#(#indexes),*],
                    version: #version,
                    upgrade: #upgrade,
                },
                run,
            }
        }
    }
}

/// The arguments as they are written.
#[derive(Default)]
struct Given {
    name: Option<LitStr>,
    read_only: Option<Vec<LitStr>>,
    time_to_live_s: Option<LitInt>,
    indexes: Option<Vec<LitStr>>,
    version: Option<LitInt>,
    upgrade: Option<Path>,
}

impl Given {
    fn parse_one(&mut self, form: Form, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let argument = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match (argument.as_str(), form) {
            ("name", _) => set(&mut self.name, parse_name(meta)?, meta),
            ("read_only", Form::Function) => set(&mut self.read_only, texts(meta)?, meta),
            ("read_only", Form::Block) => Err(meta.error(
                "the methods that take `&self` are the read-only ones; there is nothing to declare",
            )),
            (_, Form::Proxy) => Err(unknown(form, meta)),
            ("time_to_live_s", _) => set(&mut self.time_to_live_s, meta.value()?.parse()?, meta),
            ("indexes", _) => set(&mut self.indexes, texts(meta)?, meta),
            ("version", _) => set(&mut self.version, meta.value()?.parse()?, meta),
            ("upgrade", _) => set(&mut self.upgrade, meta.value()?.parse()?, meta),
            _ => Err(unknown(form, meta)),
        }
    }

    fn checked(self) -> Result<Options> {
        let read_only = self.read_only.unwrap_or_default();
        check_distinct(&read_only, |name| name.to_ascii_lowercase())?;
        let indexes = self.indexes.unwrap_or_default();
        check_distinct(&indexes, str::to_owned)?;
        if let Some(ninth) = indexes.get(INDEXES_MAX) {
            let help = "an entity has at most 8 indexes: each is written with every change";
            return Err(Error::new(ninth.span(), help));
        }
        let version = self.version.map(|version| checked_version(&version)).transpose()?;
        if let (Some(upgrade), None) = (&self.upgrade, version) {
            let help = "say to which version: `version = 2`";
            return Err(Error::new_spanned(upgrade, help));
        }
        Ok(Options {
            name: self.name,
            read_only,
            time_to_live_ms: self.time_to_live_s.map(|span| milliseconds(&span)).transpose()?,
            indexes,
            version,
            upgrade: self.upgrade,
        })
    }
}

fn unknown(form: Form, meta: &ParseNestedMeta<'_>) -> Error {
    meta.error(format!("unknown argument; {}", form.arguments()))
}

/// The texts in `("owner", "city")`.
fn texts(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let list;
    parenthesized!(list in meta.input);
    let texts = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
    match texts.iter().find(|text| text.value().is_empty()) {
        Some(empty) => Err(Error::new(empty.span(), "this is empty")),
        None => Ok(texts.into_iter().collect()),
    }
}

fn check_distinct(texts: &[LitStr], key: impl Fn(&str) -> String) -> Result<()> {
    let keys: Vec<String> = texts.iter().map(|text| key(&text.value())).collect();
    let second = (1..keys.len()).find(|&place| keys[..place].contains(&keys[place]));
    match second {
        Some(place) => Err(Error::new(texts[place].span(), "this stands here twice")),
        None => Ok(()),
    }
}

fn checked_version(literal: &LitInt) -> Result<u32> {
    match literal.base10_parse()? {
        0 => Err(Error::new(literal.span(), "versions count from 1; without one it is 0")),
        version => Ok(version),
    }
}

fn milliseconds(literal: &LitInt) -> Result<u64> {
    let seconds: u64 = literal.base10_parse()?;
    match seconds.checked_mul(1_000) {
        Some(0) => Err(Error::new(literal.span(), "an entity must live longer than that")),
        Some(ms) => Ok(ms),
        None => Err(too_long(literal.span())),
    }
}

fn too_long(span: Span) -> Error {
    Error::new(span, "too long; an entity without `time_to_live_s` lives for ever")
}

fn optional(value: Option<&impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

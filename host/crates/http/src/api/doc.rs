//! What a route says of itself, for the OpenAPI document and for the tests that hold it against the
//! tables. Data only; plain texts that can stand in constants.

/// What a route does, takes and answers with.
pub(crate) struct RouteDoc {
    /// The operation's id in the document: unique, in camel case.
    pub(crate) id: &'static str,
    /// One sentence.
    pub(crate) summary: &'static str,
    /// Of path, query and headers. Those of the path must all be here.
    pub(crate) parameters: &'static [Parameter],
    pub(crate) body: Option<BodyDoc>,
    /// Those of its own. What every route can answer with (a malformed request, 401, 500, 503, the
    /// limits of a body) is not repeated.
    pub(crate) responses: &'static [ResponseDoc],
}

/// A parameter.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    /// What it means, and the default.
    pub(crate) description: &'static str,
    /// Always so in a path.
    pub(crate) is_required: bool,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// What values a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A whole number from 1 on.
    Count,
    /// Seconds, perhaps with a fraction.
    Seconds,
    /// `true` or `false`.
    Boolean,
    /// `true`, or nothing: the parameter stands for itself.
    Flag,
    /// A point in time, ISO 8601.
    Time,
    /// JSON text.
    Json,
    /// Some of a few texts, with commas between.
    List(&'static [&'static str]),
    /// One of a few texts.
    OneOf(&'static [&'static str]),
    /// Any parameter that begins with the name and a point: `tag.{name}` and its value.
    Prefixed,
}

/// A body that a route takes.
pub(crate) struct BodyDoc {
    pub(crate) description: &'static str,
    pub(crate) is_required: bool,
    /// The content types that it can have.
    pub(crate) contents: &'static [Content],
}

/// A body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is none.
    Nothing,
    /// JSON with the schema of this name.
    Json(&'static str),
    /// JSON of any shape.
    AnyJson,
    /// Of this media type, whatever is in it.
    Media(&'static str),
}

/// A response that a route can give.
pub(crate) struct ResponseDoc {
    pub(crate) status: u16,
    /// When, and what it means.
    pub(crate) description: &'static str,
    pub(crate) content: Content,
    /// The names of its headers, beside those that every response has.
    pub(crate) headers: &'static [&'static str],
}

impl Parameter {
    /// One of the path.
    pub(crate) const fn path(name: &'static str, description: &'static str) -> Self {
        Self { name, place: Place::Path, kind: Kind::Text, description, is_required: true }
    }

    /// One of the query.
    pub(crate) const fn query(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, place: Place::Query, kind, description, is_required: false }
    }

    /// A header.
    pub(crate) const fn header(name: &'static str, description: &'static str) -> Self {
        Self { name, place: Place::Header, kind: Kind::Text, description, is_required: false }
    }

    /// The same; it must be there.
    pub(crate) const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

impl ResponseDoc {
    /// One with no headers of its own.
    pub(crate) const fn new(status: u16, description: &'static str, content: Content) -> Self {
        Self { status, description, content, headers: &[] }
    }

    /// An error: `{"Message":"…"}`.
    pub(crate) const fn error(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::Json("Error"))
    }

    /// The same response with these headers.
    pub(crate) const fn with_headers(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }
}

/// Of many routes: which orchestration.
pub(crate) const INSTANCE_ID: Parameter =
    Parameter::path("instanceId", "The id of an orchestration.");

/// Of many routes: there is no such orchestration.
pub(crate) const NO_INSTANCE: ResponseDoc =
    ResponseDoc::error(404, "There is no such orchestration.");

/// Of what children may be part of.
pub(crate) const RECURSIVE: Parameter = Parameter::query(
    "recursive",
    Kind::Boolean,
    "Whether the same is done with the orchestrations that it started and waited for; false by \
     default.",
);

/// Of documents about an orchestration.
pub(crate) const STATUS_500: Parameter = Parameter::query(
    "returnInternalServerErrorOnFailure",
    Kind::Boolean,
    "Whether one that failed is a 500; false by default.",
);

/// Of lists: where the page begins.
pub(crate) const CONTINUATION_HEADER: Parameter = Parameter::header(
    "x-ms-continuation-token",
    "Where the page begins: the header of this name in the response with the page before.",
);

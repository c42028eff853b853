//! The management API of entities: see them, find them, have them do something, break their locks.
//!
//! The routes of the original answer as there, except that the name of an entity function that is not
//! loaded is a 404. Details, counts, filters by key and field, calls with a result and locks
//! are additions; see `docs/http-api.md`.

mod document;
mod handle;
mod query;
mod schemas;

use super::doc::{BodyDoc, CONTINUATION_HEADER, Content, Kind, Parameter, ResponseDoc, RouteDoc};
use super::{ApiRoute, Module, route};

pub(super) const MODULE: Module = Module {
    name: "Entities",
    description: "Keyed state with one operation at a time.",
    routes: ROUTES,
    schemas: schemas::schemas,
};

const ROUTES: &[ApiRoute] = &[
    route("GET", "entities", |api, call| Box::pin(handle::list(api, call)), LIST_ALL),
    route("GET", "entities/{entityName}", |api, call| Box::pin(handle::list(api, call)), LIST),
    route(
        "POST",
        "entities/{entityName}",
        |api, call| Box::pin(handle::signal(api, call)),
        RouteDoc {
            id: "signalEntityWithEmptyKey",
            parameters: &[ENTITY_NAME, OPERATION, IDEMPOTENCY_KEY],
            ..SIGNAL
        },
    ),
    route(
        "DELETE",
        "entities/{entityName}",
        |api, call| Box::pin(handle::delete(api, call)),
        RouteDoc {
            id: "deleteEntityWithEmptyKey",
            parameters: &[ENTITY_NAME, PURGE, IDEMPOTENCY_KEY],
            ..DELETE
        },
    ),
    route(
        "GET",
        "entities/{entityName}/{entityKey}",
        |api, call| Box::pin(handle::get(api, call)),
        GET,
    ),
    route(
        "POST",
        "entities/{entityName}/{entityKey}",
        |api, call| Box::pin(handle::signal(api, call)),
        SIGNAL,
    ),
    route(
        "DELETE",
        "entities/{entityName}/{entityKey}",
        |api, call| Box::pin(handle::delete(api, call)),
        DELETE,
    ),
    route(
        "POST",
        "entities/{entityName}/{entityKey}/call",
        |api, call| Box::pin(handle::call(api, call)),
        CALL,
    ),
    route(
        "DELETE",
        "entities/{entityName}/{entityKey}/lock",
        |api, call| Box::pin(handle::break_lock(api, call)),
        BREAK_LOCK,
    ),
];

const ENTITY_NAME: Parameter =
    Parameter::path("entityName", "The name of an entity function; case does not matter.");

const ENTITY_KEY: Parameter =
    Parameter::path("entityKey", "The key; `$` stands for the empty one.");

const OPERATION: Parameter =
    Parameter::query("op", Kind::Text, "The operation; without it the one with the empty name.");

const IDEMPOTENCY_KEY: Parameter = Parameter::header(
    "Idempotency-Key",
    "Signals to the same entity with the same key count once; 1 to 256 characters.",
);

const PURGE: Parameter = Parameter::query(
    "purge",
    Kind::Flag,
    "Removes the entity without asking its code, when what came before is done.",
);

const LAST_OPERATION_FROM: Parameter = Parameter::query(
    "lastOperationTimeFrom",
    Kind::Time,
    "Did their last operation then or later.",
);
const LAST_OPERATION_TO: Parameter = Parameter::query(
    "lastOperationTimeTo",
    Kind::Time,
    "Did their last operation then or earlier.",
);
const FETCH_STATE: Parameter =
    Parameter::query("fetchState", Kind::Boolean, "Whether states are shown; false by default.");
const TOP: Parameter = Parameter::query(
    "top",
    Kind::Count,
    "How many on a page; 100 by default. More than 1,000 are as good as 1,000.",
);
const KEY_PREFIX: Parameter = Parameter::query("keyPrefix", Kind::Text, "How the key begins.");
const INCLUDE_STATELESS: Parameter = Parameter::query(
    "includeStateless",
    Kind::Flag,
    "Also those that have no state and are locked.",
);
const DETAILS: Parameter =
    Parameter::query("details", Kind::Flag, "Also the lock and what else is known.");
const COUNT: Parameter =
    Parameter::query("count", Kind::Flag, "Only how many there are, in place of a list.");
const FIELD: Parameter = Parameter::query(
    "field",
    Kind::Prefixed,
    "An indexed field of the state and its JSON value, letter for letter.",
);

const LIST_ALL: RouteDoc = RouteDoc {
    id: "listAllEntities",
    summary: "A page of the entities of all functions, or how many there are.",
    parameters: &[
        LAST_OPERATION_FROM,
        LAST_OPERATION_TO,
        FETCH_STATE,
        TOP,
        KEY_PREFIX,
        INCLUDE_STATELESS,
        DETAILS,
        COUNT,
        CONTINUATION_HEADER,
    ],
    body: None,
    responses: &[LISTED, BAD_LIST],
};

const LIST: RouteDoc = RouteDoc {
    id: "listEntities",
    summary: "A page of the entities of one function, or how many there are.",
    parameters: &[
        ENTITY_NAME,
        LAST_OPERATION_FROM,
        LAST_OPERATION_TO,
        FETCH_STATE,
        TOP,
        KEY_PREFIX,
        FIELD,
        INCLUDE_STATELESS,
        DETAILS,
        COUNT,
        CONTINUATION_HEADER,
    ],
    body: None,
    responses: &[LISTED, BAD_LIST],
};

const LISTED: ResponseDoc = ResponseDoc::new(
    200,
    "The entities in the order of names and keys; with `count` their number.",
    Content::Json("EntityListOrCount"),
)
.with_headers(&["x-ms-continuation-token"]);

const BAD_LIST: ResponseDoc = ResponseDoc::error(
    400,
    "A value of a field that is not JSON, a field that is not indexed, a token that no page had, a \
     name that no function can have.",
);

const GET: RouteDoc = RouteDoc {
    id: "getEntity",
    summary: "The state of an entity as it is; with `details` all that is known of it.",
    parameters: &[ENTITY_NAME, ENTITY_KEY, DETAILS, FETCH_STATE],
    body: None,
    responses: &[
        ResponseDoc::new(200, "The state, or with `details` the document.", Content::AnyJson),
        ResponseDoc::error(404, "There is no such entity."),
    ],
};

const SIGNAL: RouteDoc = RouteDoc {
    id: "signalEntity",
    summary: "Has an entity do an operation; nobody waits for it.",
    parameters: &[ENTITY_NAME, ENTITY_KEY, OPERATION, IDEMPOTENCY_KEY],
    body: Some(INPUT),
    responses: SIGNALED,
};

const DELETE: RouteDoc = RouteDoc {
    id: "deleteEntity",
    summary: "Signals the operation `delete`, or removes the entity whatever its code says.",
    parameters: &[ENTITY_NAME, ENTITY_KEY, PURGE, IDEMPOTENCY_KEY],
    body: None,
    responses: &[
        ResponseDoc::new(200, "With `purge`: it is gone.", Content::Json("EntitiesDeleted")),
        ACCEPTED,
        BAD_OPERATION,
        ResponseDoc::error(
            404,
            "No such entity function is loaded; with `purge`: there is no such entity.",
        ),
        ResponseDoc::error(409, "With `purge`: an orchestration holds it, or will before that."),
        TOO_MUCH_WAITS,
    ],
};

const CALL: RouteDoc = RouteDoc {
    id: "callEntity",
    summary: "Has an entity do an operation, and gives the result.",
    parameters: &[
        ENTITY_NAME,
        ENTITY_KEY,
        OPERATION,
        Parameter::query(
            "timeout",
            Kind::Seconds,
            "How long to wait for the result; by default and at most `http.wait_max_ms`.",
        ),
    ],
    body: Some(INPUT),
    responses: &[
        ResponseDoc::new(200, "The result; `null` if there is none.", Content::AnyJson),
        BAD_OPERATION,
        NO_FUNCTION,
        TOO_MUCH_WAITS,
        ResponseDoc::new(
            500,
            "The operation failed and changed nothing; without `failure` the host has a problem.",
            Content::Json("OperationFailure"),
        ),
        ResponseDoc::error(504, "No result in time; the operation may still be done."),
    ],
};

const BREAK_LOCK: RouteDoc = RouteDoc {
    id: "breakLock",
    summary: "Takes the lock of an entity from its holder, who is not told.",
    parameters: &[ENTITY_NAME, ENTITY_KEY],
    body: None,
    responses: &[
        ResponseDoc::new(200, "Whether it was locked.", Content::Json("LockReleased")),
        ResponseDoc::error(400, "No entity can have such a name or key."),
    ],
};

const INPUT: BodyDoc = BodyDoc {
    description: "The input: JSON as it is if the content type is `application/json`, any other \
                  text as a JSON string; nothing is no input.",
    is_required: false,
    contents: &[Content::AnyJson, Content::Media("text/plain")],
};

const SIGNALED: &[ResponseDoc] = &[ACCEPTED, BAD_OPERATION, NO_FUNCTION, TOO_MUCH_WAITS];

const ACCEPTED: ResponseDoc =
    ResponseDoc::new(202, "It will be done once; what comes of it is not told.", Content::Nothing);

const BAD_OPERATION: ResponseDoc = ResponseDoc::error(
    400,
    "The body is not the JSON that it is said to be, or not UTF-8; no entity can have such a name or \
     key; the `Idempotency-Key` is none.",
);
const NO_FUNCTION: ResponseDoc = ResponseDoc::error(404, "No such entity function is loaded.");
const TOO_MUCH_WAITS: ResponseDoc =
    ResponseDoc::error(429, "The entity has too much waiting.").with_headers(&["Retry-After"]);

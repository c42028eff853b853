//! The JSON schemas of the bodies about entities.

use serde_json::{Value, json};

/// Names and schemas.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let time = json!({ "type": ["string", "null"], "format": "date-time" });
    let entity = json!({
        "type": "object",
        "required": ["entityId", "lastOperationTime", "state"],
        "properties": {
            "entityId": { "$ref": "#/components/schemas/EntityId" },
            "lastOperationTime": time,
            "state": { "description": "Any JSON; null if it was not asked for." },
            "exists": { "type": "boolean" },
            "stateVersion": { "type": "integer", "minimum": 0 },
            "lock": {
                "anyOf": [{ "$ref": "#/components/schemas/EntityLock" }, { "type": "null" }],
            },
            "waitingOperations": { "type": "integer", "minimum": 0 },
        },
    });
    let id = json!({
        "type": "object",
        "required": ["name", "key"],
        "properties": { "name": { "type": "string" }, "key": { "type": "string" } },
    });
    let lock = json!({
        "type": "object",
        "required": ["instanceId", "since"],
        "properties": {
            "instanceId": { "type": "string" },
            "since": { "type": "string", "format": "date-time" },
        },
    });
    let list = json!({
        "anyOf": [
            { "type": "array", "items": { "$ref": "#/components/schemas/Entity" } },
            { "$ref": "#/components/schemas/Count" },
        ],
    });
    let failure = json!({
        "type": "object",
        "required": ["Message"],
        "properties": {
            "Message": { "type": "string" },
            "failure": { "$ref": "#/components/schemas/Failure" },
        },
    });
    let deleted = json!({
        "type": "object",
        "required": ["entitiesDeleted"],
        "properties": { "entitiesDeleted": { "const": 1 } },
    });
    let released = json!({
        "type": "object",
        "required": ["released"],
        "properties": { "released": { "type": "boolean" } },
    });
    vec![
        ("EntitiesDeleted", deleted),
        ("Entity", entity),
        ("EntityId", id),
        ("EntityListOrCount", list),
        ("EntityLock", lock),
        ("LockReleased", released),
        ("OperationFailure", failure),
    ]
}

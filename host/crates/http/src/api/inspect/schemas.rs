//! The JSON schemas of the bodies that tell about what is under way.

use serde_json::{Value, json};

/// What an orchestration can wait for.
const KINDS: [&str; 13] = [
    "suspended",
    "notFitting",
    "scheduledStart",
    "start",
    "newestCode",
    "turn",
    "activity",
    "timer",
    "event",
    "entity",
    "lock",
    "subOrchestration",
    "unknown",
];

/// Names and schemas.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let time = json!({ "type": "string", "format": "date-time" });
    let reason = json!({
        "type": "object",
        "required": ["kind", "since"],
        "properties": {
            "kind": { "enum": KINDS },
            "name": { "type": "string" },
            "since": time,
            "dueTime": time,
            "entityId": { "type": "string" },
            "heldBy": {
                "type": "object",
                "required": ["instanceId", "since"],
                "properties": { "instanceId": { "type": "string" }, "since": time },
            },
            "waitingOperations": { "type": "integer", "minimum": 0 },
            "instanceId": { "type": "string" },
            "message": { "type": "string" },
        },
    });
    let explanation = json!({
        "type": "object",
        "required": ["instanceId", "runtimeStatus", "since", "reasons", "locksHeld"],
        "properties": {
            "instanceId": { "type": "string" },
            "runtimeStatus": { "type": "string" },
            "since": time,
            "reasons": { "type": "array", "items": reason },
            "moreReasons": { "type": "integer", "minimum": 1 },
            "locksHeld": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["entityId", "since"],
                    "properties": { "entityId": { "type": "string" }, "since": time },
                },
            },
        },
    });
    let locks = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["entityId", "heldBy", "since"],
            "properties": {
                "entityId": { "type": "string" },
                "heldBy": {
                    "type": "object",
                    "required": ["instanceId"],
                    "properties": { "instanceId": { "type": "string" } },
                },
                "since": time,
            },
        },
    });
    vec![("Explanation", explanation), ("LockList", locks)]
}

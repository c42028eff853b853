//! The JSON schemas of the bodies about orchestrations.

use serde_json::{Value, json};

/// Names and schemas.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let time = json!({ "type": "string", "format": "date-time" });
    let statuses = ["Pending", "Running", "Suspended", "Completed", "Failed", "Terminated"];
    let any = |description: &str| json!({ "description": description });
    let status = json!({
        "type": "object",
        "required": [
            "name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime",
            "lastUpdatedTime",
        ],
        "properties": {
            "name": { "type": "string" },
            "instanceId": { "type": "string" },
            "runtimeStatus": { "enum": statuses },
            "input": any("Any JSON; null if it is not to be shown."),
            "customStatus": any("Any JSON."),
            "output": any(
                "Any JSON: what it returned. A text for one that failed, the reason for one that was \
                 terminated.",
            ),
            "createdTime": time,
            "lastUpdatedTime": time,
            "historyEvents": {
                "type": "array",
                "items": { "$ref": "#/components/schemas/HistoryEvent" },
            },
        },
    });
    let event = json!({
        "type": "object",
        "required": ["EventType", "Timestamp"],
        "properties": {
            "EventType": { "type": "string" },
            "Timestamp": time,
            "ScheduledTime": time,
            "FunctionName": { "type": "string" },
            "Input": any("Any JSON."),
            "Result": any("Any JSON."),
            "Reason": any("Any JSON; of a failure a text."),
            "Details": { "type": "string" },
            "Name": { "type": "string" },
            "InstanceId": { "type": "string" },
            "EntityId": { "type": "string" },
            "Operation": { "type": "string" },
            "FireAt": time,
            "Data": { "type": "string" },
            "OrchestrationStatus": { "type": "string" },
            "CriticalSectionId": { "type": "string" },
            "LockSet": { "type": "array", "items": { "type": "string" } },
        },
    });
    let list = json!({
        "anyOf": [
            { "type": "array", "items": { "$ref": "#/components/schemas/InstanceStatus" } },
            { "$ref": "#/components/schemas/Count" },
        ],
    });
    let deleted = json!({
        "type": "object",
        "required": ["instancesDeleted"],
        "properties": { "instancesDeleted": { "type": "integer", "minimum": 1 } },
    });
    vec![
        ("HistoryEvent", event),
        ("InstanceListOrCount", list),
        ("InstanceStatus", status),
        ("InstancesDeleted", deleted),
    ]
}

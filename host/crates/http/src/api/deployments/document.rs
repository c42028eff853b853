//! The documents of deployments, and their schemas.

use everstate_types::{ComponentHash, FunctionKind};
use serde_json::{Value, json};

use crate::deployments::{
    CheckReport, Deployed, Deployment, DeploymentAction, Diverging, FileCondition, FileState,
    FunctionState, FunctionsState, MissingFunction,
};
use crate::time::with_millis;

pub(super) fn functions(state: &FunctionsState) -> Value {
    json!({
        "functions": state.functions.iter().map(function).collect::<Vec<_>>(),
        "files": state.files.iter().map(file).collect::<Vec<_>>(),
    })
}

fn function(function: &FunctionState) -> Value {
    let http = function.http.as_ref();
    let text = json!({
        "name": function.name.as_str(),
        "kind": kind(function.kind),
        "file": function.file,
        "hash": function.component.to_string(),
        "route": http.map(|(_, route, _)| route),
        "methods": http.map(|(methods, ..)| methods),
        "authLevel": http.map(|(.., level)| level.to_string()),
    });
    without_nulls(text)
}

fn file(file: &FileState) -> Value {
    let condition = match file.condition {
        FileCondition::Serving => "serving",
        FileCondition::Broken => "broken",
        FileCondition::Retiring => "retiring",
    };
    without_nulls(json!({
        "file": file.file,
        "hash": hash(file.component),
        "state": condition,
        "message": file.message,
        "loadedTime": file.loaded_at.map(with_millis),
        "pinned": file.pinned,
    }))
}

pub(super) fn deployments(deployments: &[Deployment]) -> Value {
    let document = |it: &Deployment| {
        let action = match it.action {
            DeploymentAction::Deployed => "deployed",
            DeploymentAction::RolledBack => "rolledBack",
            DeploymentAction::Removed => "removed",
            DeploymentAction::Refused => "refused",
        };
        without_nulls(json!({
            "id": it.id,
            "file": it.file,
            "hash": hash(it.component),
            "time": with_millis(it.time),
            "action": action,
            "message": it.message,
        }))
    };
    deployments.iter().map(document).collect()
}

pub(super) fn deployed(deployed: &Deployed) -> Value {
    without_nulls(json!({
        "file": deployed.file,
        "hash": deployed.component.to_string(),
        "functions": deployed.functions.iter().map(function).collect::<Vec<_>>(),
        "check": deployed.check.as_ref().map(check),
        "migrated": deployed.migration.as_ref().map(|it| it.migrated),
        "notMigratedCount": deployed.migration.as_ref().map(|it| it.kept_count),
        "notMigrated": deployed.migration.as_ref().map(|it| diverging(&it.kept)),
        "problem": deployed.problem,
    }))
}

pub(super) fn check(report: &CheckReport) -> Value {
    let missing = |it: &MissingFunction| {
        without_nulls(json!({
            "name": it.name.as_str(),
            "kind": kind(it.kind),
            "newKind": it.now.map(kind),
            "instances": it.instances,
        }))
    };
    json!({
        "file": report.file,
        "checked": report.checked,
        "diverging": diverging(&report.diverging),
        "divergingCount": report.diverging_count,
        "missing": report.missing.iter().map(missing).collect::<Vec<_>>(),
    })
}

fn diverging(diverging: &[Diverging]) -> Value {
    let document = |it: &Diverging| {
        json!({
            "instanceId": it.instance_id.as_str(),
            "name": it.name.as_str(),
            "message": it.message,
        })
    };
    diverging.iter().map(document).collect()
}

fn kind(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Orchestrator => "orchestrator",
        FunctionKind::Entity => "entity",
        FunctionKind::Activity => "activity",
        FunctionKind::Http => "http",
    }
}

fn hash(component: Option<ComponentHash>) -> Option<String> {
    component.map(|component| component.to_string())
}

/// Fields that do not apply are absent.
fn without_nulls(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let list = |of: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } });
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let function = object(
        &["name", "kind", "file", "hash"],
        json!({
            "name": text, "file": text, "hash": text, "route": text, "authLevel": text,
            "kind": { "enum": ["http", "orchestrator", "entity", "activity"] },
            "methods": { "type": "array", "items": text },
        }),
    );
    let file = object(
        &["file", "state", "pinned"],
        json!({
            "file": text, "hash": text, "message": text, "loadedTime": text, "pinned": count,
            "state": { "enum": ["serving", "broken", "retiring"] },
        }),
    );
    let deployment = object(
        &["id", "file", "time", "action"],
        json!({
            "id": count, "file": text, "hash": text, "time": text, "message": text,
            "action": { "enum": ["deployed", "rolledBack", "removed", "refused"] },
        }),
    );
    let diverging = object(
        &["instanceId", "name", "message"],
        json!({ "instanceId": text, "name": text, "message": text }),
    );
    let missing = object(
        &["name", "kind", "instances"],
        json!({
            "name": text, "instances": count,
            "kind": { "enum": ["orchestrator", "entity"] },
            "newKind": { "enum": ["http", "orchestrator", "entity", "activity"] },
        }),
    );
    let report = json!({
        "file": text, "checked": count, "divergingCount": count,
        "diverging": list("Diverging"), "missing": list("MissingFunction"),
    });
    let required = ["file", "checked", "diverging", "divergingCount", "missing"];
    let mut refusal = report.clone();
    refusal["Message"] = text.clone();
    let deployed = json!({
        "file": text, "hash": text, "functions": list("Function"), "migrated": count,
        "notMigratedCount": count, "notMigrated": list("Diverging"), "problem": text,
        "check": { "$ref": "#/components/schemas/CheckReport" },
    });
    vec![
        ("CheckReport", object(&required, report)),
        ("Deployed", object(&["file", "hash", "functions"], deployed)),
        ("Deployment", deployment),
        ("Deployments", list("Deployment")),
        ("DeploymentRefusal", object(&["Message"], refusal)),
        ("Diverging", diverging),
        ("File", file),
        ("Function", function),
        (
            "Functions",
            object(
                &["functions", "files"],
                json!({ "functions": list("Function"), "files": list("File") }),
            ),
        ),
        ("MissingFunction", missing),
        ("RemovedFile", object(&["file"], json!({ "file": text }))),
    ]
}

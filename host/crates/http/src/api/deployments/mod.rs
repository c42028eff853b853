//! Components: what is loaded, what was deployed when, and how they come and go over HTTP.

mod document;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answers::{document as answer, empty};
use super::doc::{
    BodyDoc, Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, ResponseDoc, RouteDoc,
};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::body::Pieces;
use crate::deployments::{DeployOptions, DeploymentError, Upload};
use crate::error::ApiError;

pub(super) const MODULE: Module = Module {
    name: "Deployments",
    description: "Components: what is loaded, and how they come and go.",
    routes: ROUTES,
    schemas: document::schemas,
};

const FILE: Parameter =
    Parameter::path("file", "The name of a file in the functions folder; ends in `.wasm`.");
const CHECK: Parameter = Parameter::query(
    "check",
    Kind::Boolean,
    "Whether it is refused if a live orchestration does not fit it, or a function in use would be gone; \
     false by default.",
);
const MIGRATE: Parameter = Parameter::query(
    "migrate",
    Kind::Boolean,
    "Whether live orchestrations are moved to it whose histories fit it; false by default.",
);
const TO: Parameter = Parameter::query(
    "to",
    Kind::Text,
    "The version: the `id` of a deployment, or six or more characters that its hash begins with; by default \
     the one that was served before.",
);
const COMPONENT: BodyDoc = BodyDoc {
    description: "The component.",
    is_required: true,
    contents: &[Content::Media("application/wasm")],
};
const SERVED: ResponseDoc = ResponseDoc::new(200, "It is served.", Content::Json("Deployed"));
const NO_NAME: ResponseDoc = ResponseDoc::error(400, "It is no name of a component.");
const DIVERGING: ResponseDoc = ResponseDoc::new(
    409,
    "Histories do not fit it, or functions in use would be gone; nothing has changed.",
    Content::Json("DeploymentRefusal"),
);
const REFUSED: ResponseDoc =
    ResponseDoc::error(422, "It cannot be loaded, or conflicts with another; nothing has changed.");

const fn route(
    method: &'static str,
    path: &'static str,
    handler: super::Handler,
    doc: RouteDoc,
) -> ApiRoute {
    ApiRoute { method, base: Base::Admin, path, access: Access::Management, handler, doc }
}

const ROUTES: &[ApiRoute] = &[
    route(
        "GET",
        "functions",
        |api, _| Box::pin(functions(api)),
        RouteDoc {
            id: "listFunctions",
            summary: "What is loaded: functions and files.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(200, "All of it.", Content::Json("Functions"))],
        },
    ),
    route(
        "GET",
        "deployments",
        |api, call| Box::pin(deployments(api, call)),
        RouteDoc {
            id: "listDeployments",
            summary: "What was deployed when, newest first.",
            parameters: &[Parameter::query("file", Kind::Text, "Only of this file.")],
            body: None,
            responses: &[ResponseDoc::new(200, "The record.", Content::Json("Deployments"))],
        },
    ),
    route(
        "PUT",
        "deployments/{file}",
        |api, call| Box::pin(deploy(api, call)),
        RouteDoc {
            id: "deploy",
            summary: "Serves a component in the place of what the file had.",
            parameters: &[FILE, CHECK, MIGRATE],
            body: Some(COMPONENT),
            responses: &[SERVED, NO_NAME, DIVERGING, REFUSED],
        },
    ),
    route(
        "DELETE",
        "deployments/{file}",
        |api, call| Box::pin(remove(api, call)),
        RouteDoc {
            id: "removeComponent",
            summary: "Removes a file; live orchestrations end on its code.",
            parameters: &[FILE],
            body: None,
            responses: &[
                ResponseDoc::new(200, "It is gone.", Content::Json("RemovedFile")),
                NO_NAME,
                ResponseDoc::error(404, "There is no such file."),
            ],
        },
    ),
    route(
        "POST",
        "deployments/{file}/rollback",
        |api, call| Box::pin(rollback(api, call)),
        RouteDoc {
            id: "rollback",
            summary: "Serves a version of a file that was served before.",
            parameters: &[FILE, TO, CHECK, MIGRATE],
            body: None,
            responses: &[
                SERVED,
                NO_NAME,
                ResponseDoc::error(404, "There is no such file, or no such version of it."),
                DIVERGING,
                REFUSED,
            ],
        },
    ),
    route(
        "POST",
        "check",
        |api, call| Box::pin(check(api, call)),
        RouteDoc {
            id: "check",
            summary: "Says which live orchestrations would not fit a component; changes nothing.",
            parameters: &[
                Parameter::query("file", Kind::Text, "The file that it would be.").required()
            ],
            body: Some(COMPONENT),
            responses: &[
                ResponseDoc::new(200, "What was found.", Content::Json("CheckReport")),
                NO_NAME,
                REFUSED,
            ],
        },
    ),
    ApiRoute {
        method: "POST",
        base: Base::Management,
        path: "instances/{instanceId}/migrate",
        access: Access::Management,
        handler: |api, call| Box::pin(migrate(api, call)),
        doc: RouteDoc {
            id: "migrate",
            summary: "Moves an orchestration to the newest code, if its history fits that.",
            parameters: &[INSTANCE_ID],
            body: None,
            responses: &[
                ResponseDoc::new(202, "It goes on with the newest code.", Content::Nothing),
                NO_INSTANCE,
                ResponseDoc::error(409, "Its history does not fit the newest code; where."),
                ResponseDoc::error(410, "It has ended."),
            ],
        },
    },
];

async fn functions(api: &Api) -> Result<Response, ApiError> {
    let state = api.services.deployments.functions().await?;
    Ok(answer(StatusCode::OK, document::functions(&state).to_string()))
}

async fn deployments(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let deployments = api.services.deployments.deployments(call.query().text("file"));
    Ok(answer(StatusCode::OK, document::deployments(&deployments).to_string()))
}

async fn deploy(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let (file, options) = (call.value("file").to_owned(), options(&call));
    let upload = receive(api, &mut call, &file).await?;
    served(upload.deploy(options).await)
}

async fn rollback(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let to = call.query().text("to").map(str::to_owned);
    served(api.services.deployments.rollback(call.value("file"), to, options(&call)).await)
}

async fn remove(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let file = call.value("file");
    api.services.deployments.remove(file).await?;
    Ok(answer(StatusCode::OK, json!({ "file": file }).to_string()))
}

async fn check(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let file = call.query().text("file").map(str::to_owned);
    let file = file.ok_or_else(|| ApiError::bad_request("The parameter `file` is missing."))?;
    let upload = receive(api, &mut call, &file).await?;
    let report = upload.check().await?;
    Ok(answer(StatusCode::OK, document::check(&report).to_string()))
}

async fn migrate(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    api.services.deployments.migrate(&call.instance_id()?).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

fn options(call: &ApiCall) -> DeployOptions {
    let query = call.query();
    DeployOptions { checks: query.is_set("check"), migrates: query.is_set("migrate") }
}

/// Takes in the component that is the body of the request.
async fn receive(api: &Api, call: &mut ApiCall, file: &str) -> Result<Box<dyn Upload>, ApiError> {
    let mut upload = api.services.deployments.upload(file).await?;
    let mut pieces = Pieces::of(call.take_body());
    while let Some(piece) = pieces.next(&api.config).await? {
        upload.write(piece).await?;
    }
    Ok(upload)
}

fn served(
    deployed: Result<crate::deployments::Deployed, DeploymentError>,
) -> Result<Response, ApiError> {
    match deployed {
        Ok(deployed) => Ok(answer(StatusCode::OK, document::deployed(&deployed).to_string())),
        Err(DeploymentError::Diverging(report)) => {
            let mut refusal = document::check(&report);
            let message = DeploymentError::Diverging(report).to_string();
            refusal["Message"] = message.into();
            Ok(answer(StatusCode::CONFLICT, refusal.to_string()).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the host says, as a response.
impl From<DeploymentError> for ApiError {
    fn from(error: DeploymentError) -> Self {
        let text = error.to_string();
        match error {
            DeploymentError::Name(_) => Self::bad_request(text),
            DeploymentError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "no_file", text),
            DeploymentError::TooLarge(limit) => Self::body_too_large(limit),
            DeploymentError::Refused(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused_component", text)
            }
            DeploymentError::Diverging(_) | DeploymentError::DoesNotFit(_) => Self::conflict(text),
            DeploymentError::Engine(error) => error.into(),
            DeploymentError::Io(_) => Self::internal("deployment_failed", text),
        }
    }
}

//! Many entities: finding and counting.

use everstate_sdk::{
    DurableClient, EntityFilter, EntityQuery, HttpError, HttpRequest, HttpResponse, http_trigger,
};
use serde_json::{Value, json};

use crate::entities::entity_document;
use crate::parameters::{answer, flag, number, time};

#[http_trigger(route = "lifecycle/entities", methods = ["GET"])]
fn Lifecycle_Entities(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let mut query = EntityQuery {
        filter: filter(&request)?,
        continuation_token: request.query("token").map(str::to_owned),
        fetch_state: flag(&request, "state"),
        ..Default::default()
    };
    if let Some(size) = number(&request, "pageSize")? {
        query.page_size =
            size.try_into().map_err(|_| HttpError::bad_request("`pageSize` is too large"))?;
    }
    let page = client.list_entities(&query)?;
    let entities: Vec<Value> = page.entities.iter().map(entity_document).collect();
    answer(&json!({ "entities": entities, "token": page.continuation_token }))
}

#[http_trigger(route = "lifecycle/count-entities", methods = ["GET"])]
fn Lifecycle_CountEntities(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    answer(&json!({ "count": client.count_entities(&filter(&request)?)? }))
}

fn filter(request: &HttpRequest) -> Result<EntityFilter, HttpError> {
    let text = |name: &str| request.query(name).map(str::to_owned);
    Ok(EntityFilter {
        name: text("name"),
        key_prefix: text("prefix"),
        last_operation_from: time(request, "from")?,
        last_operation_to: time(request, "to")?,
        fields: fields(request)?,
        include_stateless: flag(request, "stateless"),
    })
}

/// Each `field=name:value`, the value being JSON.
fn fields(request: &HttpRequest) -> Result<Vec<(String, String)>, HttpError> {
    let fields = request.query_pairs().iter().filter(|(name, _)| name == "field");
    fields
        .map(|(_, field)| {
            let (name, value) = field.split_once(':').ok_or_else(|| {
                HttpError::bad_request(format!("a field is `name:value`, not `{field}`"))
            })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

//! Many orchestrations: finding, counting, removing.

use everstate_sdk::{
    DurableClient, HttpError, HttpRequest, HttpResponse, InstanceFilter, InstanceQuery,
    http_trigger,
};
use serde_json::{Value, json};

use crate::parameters::{answer, number, runtime_status, status_document, tags, time};

#[http_trigger(route = "lifecycle/query", methods = ["GET"])]
fn Lifecycle_Query(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let mut query = InstanceQuery {
        filter: filter(&request)?,
        continuation_token: request.query("token").map(str::to_owned),
        show_input: request.query("input") != Some("false"),
        ..Default::default()
    };
    if let Some(size) = number(&request, "pageSize")? {
        query.page_size =
            size.try_into().map_err(|_| HttpError::bad_request("`pageSize` is too large"))?;
    }
    let page = client.query_instances(&query)?;
    let instances: Vec<Value> = page.instances.iter().map(status_document).collect();
    answer(&json!({ "instances": instances, "token": page.continuation_token }))
}

#[http_trigger(route = "lifecycle/count", methods = ["GET"])]
fn Lifecycle_Count(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    answer(&json!({ "count": client.count_instances(&filter(&request)?)? }))
}

#[http_trigger(route = "lifecycle/purge-many", methods = ["POST"])]
fn Lifecycle_PurgeMany(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    answer(&json!({ "purged": client.purge_instances(&filter(&request)?)? }))
}

fn filter(request: &HttpRequest) -> Result<InstanceFilter, HttpError> {
    let text = |name: &str| request.query(name).map(str::to_owned);
    let statuses = request.query("statuses").unwrap_or_default();
    Ok(InstanceFilter {
        name: text("name"),
        statuses: statuses
            .split(',')
            .filter(|name| !name.is_empty())
            .map(runtime_status)
            .collect::<Result<_, _>>()?,
        created_from: time(request, "createdFrom")?,
        created_to: time(request, "createdTo")?,
        instance_id_prefix: text("prefix"),
        tags: tags(request)?,
        custom_status: text("customStatus"),
    })
}

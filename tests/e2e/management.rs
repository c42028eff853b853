//! What the tests of the management API ask it with: what a client of the original would send.

use std::time::Duration;

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::ways::host_with;

/// Where the API begins.
pub(crate) const BASE: &str = "/runtime/webhooks/durabletask";

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

const JSON: (&str, &str) = ("content-type", "application/json");

/// A host and its management API.
pub(crate) struct Manager {
    pub(crate) host: HostProcess,
}

impl Manager {
    /// A host with orchestrations of all sorts.
    pub(crate) async fn start() -> Result<Self> {
        let guests = [
            guests::APPROVAL,
            guests::COUNTER,
            guests::FAMILY,
            guests::HELLO,
            guests::LIFECYCLE,
            guests::RETRIES,
        ];
        Ok(Self { host: HostProcess::start(host_with(&guests)).await? })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Result<Reply> {
        let headers = if body.is_empty() { &[][..] } else { &[JSON][..] };
        let target = format!("{BASE}{path}");
        self.host.client().send(method, &target, headers, body.to_owned()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, "").await
    }

    /// What the API answers with this status.
    pub(crate) async fn expect(
        &self,
        status: u16,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Reply> {
        let reply = self.send(method, path, body).await?;
        let text = reply.text();
        ensure!(reply.status == status, "{method} {path}: {} {text}", reply.status);
        Ok(reply)
    }

    /// Starts an orchestration under this id.
    pub(crate) async fn started(&self, name: &str, id: &str, input: &str) -> Result<()> {
        self.expect(202, "POST", &format!("/orchestrators/{name}/{id}"), input).await.map(drop)
    }

    /// Starts one and waits for its end.
    pub(crate) async fn ended(&self, name: &str, id: &str, input: &str) -> Result<Reply> {
        let path = format!("/orchestrators/{name}/{id}?timeout=60&pollingInterval=1");
        self.expect(200, "POST", &path, input).await
    }

    /// Waits until an orchestration is in that place of its life, and gives its status.
    pub(crate) async fn until(&self, id: &str, runtime_status: &str) -> Result<Value> {
        let path = format!("/instances/{id}");
        eventually(&format!("{id} is {runtime_status}"), DEADLINE, || async {
            let reply = self.get(&path).await.ok()?;
            let status = reply.json().ok()?;
            (status["runtimeStatus"] == runtime_status).then_some(status)
        })
        .await
    }

    /// The same in the form in which links are followed: with the whole URL.
    pub(crate) async fn follow(&self, method: &str, url: &Value, text: &str) -> Result<Reply> {
        let url = url.as_str().unwrap_or_default().replace("{text}", text);
        let path = url.strip_prefix(&format!("http://{}{BASE}", self.host.client().address));
        ensure!(path.is_some(), "{url} is no link to this host");
        self.send(method, path.unwrap_or_default(), "").await
    }
}

/// The ids of the instances in a list.
pub(crate) fn ids(list: &Reply) -> Result<Vec<String>> {
    ensure!(list.status == StatusCode::OK, "{} {}", list.status, list.text());
    let list = list.json()?;
    let found = list.as_array().into_iter().flatten();
    Ok(found.map(|it| it["instanceId"].as_str().unwrap_or_default().to_owned()).collect())
}

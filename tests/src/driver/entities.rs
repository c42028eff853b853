//! Entities: what a driver asks of one, and how it finds many.

use anyhow::{Context, Result, bail, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{DEADLINE, Driver, encoded, told};
use crate::http::Reply;
use crate::wait::eventually;

/// One entity.
impl Driver {
    /// The state of an entity; `None`: it does not exist.
    ///
    /// # Errors
    /// If the host does not answer as it should.
    pub async fn entity(&self, name: &str, key: &str) -> Result<Option<Value>> {
        self.find(&format!("/lifecycle/entity/{name}/{key}")).await
    }

    /// All that is known of an entity, with its state; `None`: nothing is.
    ///
    /// # Errors
    /// If the host does not answer as it should.
    pub async fn entity_status(&self, name: &str, key: &str) -> Result<Option<Value>> {
        self.find(&format!("/lifecycle/entity-status/{name}/{key}?state=true")).await
    }

    /// A document, `None` for a 404.
    async fn find(&self, path: &str) -> Result<Option<Value>> {
        let reply = self.get(path).await?;
        match reply.status {
            StatusCode::OK => reply.json().map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!(told(path, &reply)),
        }
    }

    /// Waits until what is known of an entity fits; `null` stands for nothing.
    ///
    /// # Errors
    /// If it does not fit in time.
    pub async fn until_entity(
        &self,
        name: &str,
        key: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = eventually(&format!("{name} {key}: {what}"), DEADLINE, || async {
            match self.entity_status(name, key).await {
                Ok(status) => Some(status.unwrap_or_default()).filter(&fits).map(Ok),
                Err(error) => Some(Err(error)),
            }
        })
        .await;
        match found {
            Ok(found) => found,
            Err(error) => {
                let status = self.entity_status(name, key).await?.unwrap_or_default();
                Err(error.context(format!("it is: {status:#}")))
            }
        }
    }

    /// Waits until this orchestration holds an entity.
    ///
    /// # Errors
    /// If it does not get it in time.
    pub async fn until_held(&self, name: &str, key: &str, holder: &str) -> Result<Value> {
        let what = format!("{holder} holds it");
        self.until_entity(name, key, &what, |it| it["lock"]["instanceId"] == holder).await
    }

    /// Waits until nobody holds an entity.
    ///
    /// # Errors
    /// If it is held for too long.
    pub async fn until_free(&self, name: &str, key: &str) -> Result<()> {
        self.until_entity(name, key, "nobody holds it", |it| it["lock"].is_null()).await.map(drop)
    }

    /// Tells an entity to do an operation, at least once, and waits until it has state.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn signal(&self, name: &str, key: &str, operation: &str) -> Result<()> {
        self.tell(name, key, operation, &Value::Null).await?;
        let entity = format!("{name} {key} has state");
        eventually(&entity, DEADLINE, || async {
            self.entity(name, key).await.ok().flatten().map(drop)
        })
        .await
    }

    /// Tells an entity to do an operation, at least once.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn tell(&self, name: &str, key: &str, operation: &str, input: &Value) -> Result<()> {
        self.change(&format!("/lifecycle/signal/{name}/{key}/{operation}"), input).await
    }

    /// Tells an entity to do an operation: once for each idempotency key, however often it is asked.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn tell_once(
        &self,
        name: &str,
        key: &str,
        operation: &str,
        input: &Value,
        idempotency_key: &str,
    ) -> Result<()> {
        let idempotency_key = encoded(idempotency_key);
        let path =
            format!("/lifecycle/signal/{name}/{key}/{operation}?idempotencyKey={idempotency_key}");
        self.change(&path, input).await
    }

    /// Has an entity do an operation, at least once; gives its result, or its failure.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn call(
        &self,
        name: &str,
        key: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Result<Value, Value>> {
        let path = format!("/lifecycle/call/{name}/{key}/{operation}");
        let reply = self.post(&path, input).await?;
        match reply.status {
            StatusCode::OK => Ok(Ok(reply.json()?)),
            StatusCode::UNPROCESSABLE_ENTITY => Ok(Err(reply.json()?)),
            _ => bail!(told(&path, &reply)),
        }
    }

    /// The same for an operation that must not fail.
    ///
    /// # Errors
    /// If the host refuses, or it fails.
    pub async fn result(
        &self,
        name: &str,
        key: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value> {
        match self.call(name, key, operation, input).await? {
            Ok(result) => Ok(result),
            Err(failure) => bail!("{operation} of {name} {key} failed: {failure:#}"),
        }
    }

    /// Breaks the lock of an entity; whether there was one.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn release_lock(&self, name: &str, key: &str) -> Result<bool> {
        let path = format!("/lifecycle/release-lock/{name}/{key}");
        let reply = self.post(&path, &Value::Null).await?;
        ensure!(reply.status == StatusCode::OK, told(&path, &reply));
        reply.json()?["released"].as_bool().context("whether there was one")
    }
}

/// Many entities.
impl Driver {
    /// All entities that fit a filter, in pages of that size, which no page may exceed. Counting must
    /// give the same number.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn entities(&self, filter: &str, page_size: usize) -> Result<Vec<Value>> {
        let mut entities = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("/lifecycle/entities?pageSize={page_size}&{filter}{token}");
            let page = well(&path, &self.get(&path).await?)?;
            let found = page["entities"].as_array().context("entities")?;
            ensure!(found.len() <= page_size, "{} in a page of {page_size}", found.len());
            entities.extend(found.iter().cloned());
            match page["token"].as_str() {
                Some(next) => token = format!("&token={}", encoded(next)),
                None => break,
            }
        }
        let path = format!("/lifecycle/count-entities?{filter}");
        let counted = well(&path, &self.get(&path).await?)?;
        ensure!(counted == json!({ "count": entities.len() }), "{path}: {counted}");
        Ok(entities)
    }

    /// The keys of all entities that fit a filter.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn keys(&self, filter: &str) -> Result<Vec<String>> {
        let entities = self.entities(filter, 100).await?;
        Ok(entities.iter().map(|it| it["key"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

/// The document of a reply that must be a 200.
fn well(path: &str, reply: &Reply) -> Result<Value> {
    ensure!(reply.status == StatusCode::OK, told(path, reply));
    reply.json()
}

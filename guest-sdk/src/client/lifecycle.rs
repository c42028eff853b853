//! What can be done with orchestrations that exist: asked, told, ended, tried again, removed.

use serde::Serialize;

use crate::bindings::imports::client as host;
use crate::client::{
    DurableClient, InstanceFilter, InstancePage, InstanceQuery, InstanceStatus, StatusOptions,
    refused,
};
use crate::error::{ClientError, HostError};
use crate::payload::to_json;

/// One orchestration. Each of these fails with what the host refuses.
impl DurableClient {
    /// What is known of an orchestration, its input included; `None` if there is no such instance.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn get_status(&self, instance_id: &str) -> Result<Option<InstanceStatus>, HostError> {
        self.get_status_with_options(
            instance_id,
            StatusOptions { show_input: true, ..Default::default() },
        )
    }

    /// As much as the options ask for.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn get_status_with_options(
        &self,
        instance_id: &str,
        options: StatusOptions,
    ) -> Result<Option<InstanceStatus>, HostError> {
        Ok(host::get_status(instance_id, options.into_wit())?.map(InstanceStatus::from_wit))
    }

    /// Raises an event. The case of its name does not matter.
    ///
    /// # Errors
    /// Data without a JSON form; `NotFound`, or `Conflict` if the orchestration has ended.
    pub fn raise_event<T: Serialize + ?Sized>(
        &self,
        instance_id: &str,
        name: &str,
        data: &T,
    ) -> Result<(), ClientError> {
        refused(host::raise_event(instance_id, name, &to_json(data)?))
    }

    /// Ends an orchestration, and the children that it waits for if `recursive`. The reason
    /// becomes its output.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` if it has ended.
    pub fn terminate(
        &self,
        instance_id: &str,
        reason: Option<&str>,
        recursive: bool,
    ) -> Result<(), HostError> {
        Ok(host::terminate(instance_id, reason, recursive)?)
    }

    /// Pauses an orchestration; events are kept.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` if it has ended or is paused.
    pub fn suspend(&self, instance_id: &str, reason: Option<&str>) -> Result<(), HostError> {
        Ok(host::suspend(instance_id, reason)?)
    }

    /// Lets a suspended orchestration go on. One that stopped because its code did not fit its
    /// history goes on with the newest code.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` if it is not suspended.
    pub fn resume(&self, instance_id: &str, reason: Option<&str>) -> Result<(), HostError> {
        Ok(host::resume(instance_id, reason)?)
    }

    /// Lets a failed orchestration try its failed parts again, with the newest code. What
    /// succeeded is kept; failed children are rewound too.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` if it has not failed.
    pub fn rewind(&self, instance_id: &str, reason: Option<&str>) -> Result<(), HostError> {
        Ok(host::rewind(instance_id, reason)?)
    }

    /// Starts an orchestration again with its name, input and tags; gives the id.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` if it has not ended and the same id is wanted.
    pub fn restart(
        &self,
        instance_id: &str,
        with_new_instance_id: bool,
    ) -> Result<String, HostError> {
        Ok(host::restart(instance_id, with_new_instance_id)?)
    }

    /// Removes a finished orchestration and its history. False: there was none.
    ///
    /// # Errors
    /// `Conflict` if it has not ended.
    pub fn purge(&self, instance_id: &str) -> Result<bool, HostError> {
        Ok(host::purge(instance_id, false)?)
    }

    /// The same, with the finished children that it waited for, and theirs.
    ///
    /// # Errors
    /// As [`purge`](Self::purge).
    pub fn purge_recursive(&self, instance_id: &str) -> Result<bool, HostError> {
        Ok(host::purge(instance_id, true)?)
    }
}

/// Many orchestrations at once.
impl DurableClient {
    /// Finds orchestrations, a page at a time: oldest first, or in the order of their ids if the
    /// filter has a prefix.
    ///
    /// ```no_run
    /// use everstate_sdk::{DurableClient, HostError, InstanceFilter, InstanceQuery, RuntimeStatus};
    ///
    /// /// The ids of all that failed.
    /// fn failed(client: DurableClient) -> Result<Vec<String>, HostError> {
    ///     let filter = InstanceFilter {
    ///         statuses: vec![RuntimeStatus::Failed],
    ///         ..InstanceFilter::default()
    ///     };
    ///     let mut query = InstanceQuery { filter, ..InstanceQuery::default() };
    ///     let mut ids = Vec::new();
    ///     loop {
    ///         let page = client.query_instances(&query)?;
    ///         ids.extend(page.instances.into_iter().map(|instance| instance.instance_id));
    ///         query.continuation_token = page.continuation_token;
    ///         if query.continuation_token.is_none() {
    ///             return Ok(ids);
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// What the host refuses.
    pub fn query_instances(&self, query: &InstanceQuery) -> Result<InstancePage, HostError> {
        Ok(InstancePage::from_wit(host::query_instances(&query.to_wit())?))
    }

    /// How many orchestrations fit.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn count_instances(&self, filter: &InstanceFilter) -> Result<u64, HostError> {
        Ok(host::count_instances(&filter.to_wit())?)
    }

    /// Removes the finished orchestrations that fit, and says how many. One that has not ended is
    /// never removed, whatever the filter says.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn purge_instances(&self, filter: &InstanceFilter) -> Result<u64, HostError> {
        Ok(host::purge_instances(&filter.to_wit())?)
    }
}

//! The host as an entity sees it: the [`Host`] of a component, and of a test.
//!
//! It is the imported interface `entity-context` in the SDK's own types, one method for one
//! function, and nothing more.

use std::fmt::Debug;

use crate::bindings::imports::entity_context as wit;
use crate::error::HostError;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::time::Timestamp;

/// What an entity asks of the host. What the functions mean stands in `wit/entity.wit`.
pub(crate) trait Host: Debug {
    fn get_state(&self) -> Option<String>;
    fn set_state(&self, state: &str) -> Result<(), HostError>;
    fn delete_state(&self);
    fn state_version(&self) -> u32;
    fn set_state_version(&self, version: u32);
    fn set_indexes(&self, values: &[(String, String)]) -> Result<(), HostError>;
    fn set_time_to_live(&self, span_ms: Option<u64>);
    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError>;
    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        instance_id: Option<&str>,
    ) -> Result<String, HostError>;
    fn log(&self, level: LogLevel, message: &str);
}

/// The host of the component that this code is compiled into.
#[derive(Debug)]
pub(super) struct ComponentHost;

impl Host for ComponentHost {
    fn get_state(&self) -> Option<String> {
        wit::get_state()
    }

    fn set_state(&self, state: &str) -> Result<(), HostError> {
        Ok(wit::set_state(state)?)
    }

    fn delete_state(&self) {
        wit::delete_state();
    }

    fn state_version(&self) -> u32 {
        wit::state_version()
    }

    fn set_state_version(&self, version: u32) {
        wit::set_state_version(version);
    }

    fn set_indexes(&self, values: &[(String, String)]) -> Result<(), HostError> {
        Ok(wit::set_indexes(values)?)
    }

    fn set_time_to_live(&self, span_ms: Option<u64>) {
        wit::set_time_to_live(span_ms);
    }

    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError> {
        let at = at.map(Timestamp::unix_ms);
        Ok(wit::signal_entity(&entity.to_wit(), operation, input, at)?)
    }

    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        instance_id: Option<&str>,
    ) -> Result<String, HostError> {
        Ok(wit::start_orchestration(name, input, instance_id)?)
    }

    fn log(&self, level: LogLevel, message: &str) {
        wit::log(level.into(), message);
    }
}

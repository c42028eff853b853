//! The [`TestHost`] as an entity sees it while one operation is run. What the operation wants is
//! kept here until it has ended well.

use std::cell::RefCell;

use crate::entity::host::Host;
use crate::error::HostError;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::payload::NULL;
use crate::testing::entity::StoredState;
use crate::testing::state::INSTANCE_ID;
use crate::testing::{TestAction, TestHost};
use crate::time::Timestamp;

/// One operation under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) host: TestHost,
    /// The operation and its entity, if it is declared to change nothing.
    pub(super) read_only: Option<String>,
    pub(super) state: RefCell<StoredState>,
    pub(super) sent: RefCell<Vec<TestAction>>,
}

impl Running {
    /// Says no for an operation that is declared to change nothing.
    fn writable(&self, function: &str) -> Result<(), HostError> {
        match &self.read_only {
            None => Ok(()),
            Some(operation) => Err(HostError::NotSupported(format!(
                "the operation {operation} is declared as read-only, it must not use `{function}`"
            ))),
        }
    }

    /// The same where a component would trap.
    #[expect(clippy::panic, reason = "an operation that would trap fails the test")]
    fn assert_writable(&self, function: &str) {
        if let Err(refusal) = self.writable(function) {
            panic!("{refusal}");
        }
    }
}

impl Host for Running {
    fn get_state(&self) -> Option<String> {
        self.state.borrow().value.clone()
    }

    fn set_state(&self, json: &str) -> Result<(), HostError> {
        self.writable("set-state")?;
        let mut state = self.state.borrow_mut();
        if json == NULL {
            *state = StoredState::default();
        } else {
            state.value = Some(json.to_owned());
        }
        Ok(())
    }

    fn delete_state(&self) {
        self.assert_writable("delete-state");
        *self.state.borrow_mut() = StoredState::default();
    }

    fn state_version(&self) -> u32 {
        self.state.borrow().version
    }

    fn set_state_version(&self, version: u32) {
        self.assert_writable("set-state-version");
        self.state.borrow_mut().version = version;
    }

    fn set_indexes(&self, values: &[(String, String)]) -> Result<(), HostError> {
        self.writable("set-indexes")?;
        self.state.borrow_mut().fields = values.to_vec();
        Ok(())
    }

    fn set_time_to_live(&self, span_ms: Option<u64>) {
        self.assert_writable("set-time-to-live");
        self.state.borrow_mut().time_to_live_ms = span_ms;
    }

    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError> {
        self.writable("signal-entity")?;
        self.sent.borrow_mut().push(TestAction::SignalEntity {
            entity: entity.clone(),
            operation: operation.to_owned(),
            input: input.map(str::to_owned),
            at,
        });
        Ok(())
    }

    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        instance_id: Option<&str>,
    ) -> Result<String, HostError> {
        self.writable("start-orchestration")?;
        let instance_id = instance_id.map_or_else(
            || format!("{INSTANCE_ID}:{}", self.host.state.borrow_mut().next_number()),
            str::to_owned,
        );
        self.sent.borrow_mut().push(TestAction::StartOrchestration {
            name: name.to_owned(),
            input: input.to_owned(),
            instance_id: instance_id.clone(),
        });
        Ok(instance_id)
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.host.state.borrow_mut().log_lines.push((level, message.to_owned()));
    }
}

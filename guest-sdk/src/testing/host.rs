//! The [`TestHost`] as an orchestrator sees it. Functions of the test run without a borrow of the
//! state, because they may use the host themselves.

use std::time::Duration;

use crate::bindings::imports::orchestration::OrchestrationInfo;
use crate::error::{Failure, HostError};
use crate::executor::{self, Handle};
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::orchestration::host::Host;
use crate::orchestration::{ChildOptions, HttpCall};
use crate::payload::{NULL, to_json};
use crate::testing::entity::Batch;
use crate::testing::section::Wish;
use crate::testing::state::{INSTANCE_ID, Kind, Outcome, Signal, Step};
use crate::testing::{TestAction, TestHost};
use crate::time::Timestamp;

/// The last point in time.
const END: Timestamp = Timestamp::from_unix_ms(u64::MAX);

impl executor::Host for TestHost {
    #[expect(clippy::panic, reason = "a test that would wait forever has failed")]
    fn wait_any(&self, handles: &[Handle]) -> (Handle, Outcome) {
        loop {
            let completed = self.state.borrow_mut().take_completion(handles);
            if let Some(completed) = completed {
                return completed;
            }
            let step = self.state.borrow_mut().step(END);
            match step {
                Step::Happened => {}
                Step::Signal(signal) => self.run_signal(signal),
                Step::Nothing => {
                    panic!("the orchestrator waits for what never happens: {:?}", self.under_way())
                }
            }
        }
    }

    fn cancel(&self, handle: Handle) {
        self.state.borrow_mut().cancel(handle);
    }
}

impl TestHost {
    /// Runs a function of the script, and says when its handle completes with what.
    fn call_function(&self, kind: Kind, name: &str, input: &str, handle: Handle) {
        let place = (kind, name.to_ascii_lowercase());
        let scripted = self.state.borrow().functions.get(&place).cloned();
        let (time, outcome) = match scripted {
            Some(scripted) => (scripted.time, (scripted.answer.borrow_mut())(input)),
            None => (Duration::ZERO, Err(not_scripted(name))),
        };
        let mut state = self.state.borrow_mut();
        let due = state.now + time;
        state.complete_at(due, handle, outcome.map_err(|failure| wrapped(kind, name, failure)));
    }

    /// The same for what completes at once.
    fn answer(&self, handle: Handle, outcome: Outcome) {
        let mut state = self.state.borrow_mut();
        let now = state.now;
        state.complete_at(now, handle, outcome);
    }

    /// Writes down something of which nothing comes back.
    fn record(&self, action: TestAction) {
        self.state.borrow_mut().actions.push(action);
    }

    /// Lets everything happen that is due up to a point in time, and time pass to it.
    pub(super) fn pass(&self, until: Timestamp) {
        loop {
            let step = self.state.borrow_mut().step(until);
            match step {
                Step::Happened => {}
                Step::Signal(signal) => self.run_signal(signal),
                Step::Nothing => break,
            }
        }
        let mut state = self.state.borrow_mut();
        state.now = state.now.max(until);
    }

    /// Says no to what a critical section forbids.
    fn check(&self, wish: Wish<'_>) -> Result<(), HostError> {
        self.state.borrow().section.check(wish)
    }

    /// What an entity answers an orchestrator: as the test says, or else as the entity itself does.
    fn call_operation(&self, entity: &EntityId, operation: &str, input: Option<&str>) -> Outcome {
        let place = (entity.name().to_owned(), operation.to_ascii_lowercase());
        let state = self.state.borrow();
        let scripted = state.operations.get(&place).cloned();
        let is_named = state.operations.keys().any(|(name, _)| name == entity.name());
        let is_run = state.entities.is_run(entity);
        drop(state);
        match scripted {
            Some(answer) => (answer.borrow_mut())(entity.key(), input.unwrap_or(NULL)),
            None if is_run => {
                let result = self.operate(entity, operation, input, Batch::default())?;
                Ok(result.unwrap_or_else(|| NULL.to_owned()))
            }
            None if is_named => Err(Failure::unknown_operation(operation)),
            None => Err(not_scripted(entity.name())),
        }
    }

    fn instance_id(&self, options: &ChildOptions) -> String {
        let number = self.state.borrow_mut().next_number();
        options.instance_id.clone().unwrap_or_else(|| format!("{INSTANCE_ID}:{number}"))
    }
}

impl Host for TestHost {
    fn info(&self) -> OrchestrationInfo {
        OrchestrationInfo {
            name: "Test".to_owned(),
            instance_id: INSTANCE_ID.to_owned(),
            execution_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            parent_instance_id: None,
            tags: Vec::new(),
        }
    }

    fn input(&self) -> String {
        self.state.borrow().input.clone()
    }

    fn current_time(&self) -> Timestamp {
        self.now()
    }

    fn is_replaying(&self) -> bool {
        false
    }

    fn new_guid(&self) -> String {
        format!("00000000-0000-5000-8000-{:012x}", self.state.borrow_mut().next_number())
    }

    /// The output function of splitmix64 over a counter.
    fn random(&self) -> u64 {
        let number = u64::from(self.state.borrow_mut().next_number());
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.state.borrow_mut().log_lines.push((level, message.to_owned()));
    }

    fn set_custom_status(&self, status: Option<&str>) -> Result<(), HostError> {
        self.state.borrow_mut().custom_status = status.map(str::to_owned);
        Ok(())
    }

    fn call_activity(
        &self,
        name: &str,
        input: &str,
        _tags: &[(String, String)],
        retry_of: Option<Handle>,
    ) -> Result<Handle, HostError> {
        let mut state = self.state.borrow_mut();
        let attempt = match retry_of {
            Some(first) => *state.attempts.entry(first).and_modify(|n| *n += 1).or_insert(2),
            None => 1,
        };
        let (owned_name, input_text) = (name.to_owned(), input.to_owned());
        let action = TestAction::CallActivity { name: owned_name, input: input_text, attempt };
        let handle = state.begin(action);
        drop(state);
        self.call_function(Kind::Activity, name, input, handle);
        Ok(handle)
    }

    fn call_sub_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<Handle, HostError> {
        self.check(Wish::Child)?;
        let instance_id = self.instance_id(options);
        let handle = self.state.borrow_mut().begin(TestAction::CallSubOrchestration {
            name: name.to_owned(),
            input: input.to_owned(),
            instance_id,
        });
        self.call_function(Kind::SubOrchestration, name, input, handle);
        Ok(handle)
    }

    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<String, HostError> {
        let instance_id = self.instance_id(options);
        self.record(TestAction::StartOrchestration {
            name: name.to_owned(),
            input: input.to_owned(),
            instance_id: instance_id.clone(),
        });
        Ok(instance_id)
    }

    fn call_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
    ) -> Result<Handle, HostError> {
        self.check(Wish::Call(entity))?;
        let mut state = self.state.borrow_mut();
        let handle = state.begin(TestAction::CallEntity {
            entity: entity.clone(),
            operation: operation.to_owned(),
            input: input.map(str::to_owned),
        });
        state.section.called(handle, entity);
        drop(state);
        self.answer(handle, self.call_operation(entity, operation, input));
        Ok(handle)
    }

    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError> {
        self.check(Wish::Signal(entity))?;
        let (operation, input) = (operation.to_owned(), input.map(str::to_owned));
        self.record(TestAction::SignalEntity {
            entity: entity.clone(),
            operation: operation.clone(),
            input: input.clone(),
            at,
        });
        let signal = Signal { entity: entity.clone(), operation, input };
        match at.filter(|&at| at > self.now()) {
            Some(at) => self.state.borrow_mut().signal_at(at, signal),
            // At once, so that a call that follows finds it done.
            None => self.run_signal(signal),
        }
        Ok(())
    }

    fn lock_entities(&self, entities: &[EntityId]) -> Result<Handle, HostError> {
        self.check(Wish::Lock)?;
        let mut state = self.state.borrow_mut();
        let handle = state.begin(TestAction::LockEntities(entities.to_vec()));
        state.section.asked(handle, entities);
        drop(state);
        self.answer(handle, Ok(NULL.to_owned()));
        Ok(handle)
    }

    fn unlock_entities(&self, lock: Handle) -> Result<(), HostError> {
        self.state.borrow_mut().unlock(lock);
        Ok(())
    }

    fn create_timer(&self, fire_at: Timestamp) -> Result<Handle, HostError> {
        let mut state = self.state.borrow_mut();
        let handle = state.begin(TestAction::CreateTimer { fire_at });
        let span = fire_at - state.now;
        state.timers.push(span);
        state.complete_at(fire_at, handle, Ok(NULL.to_owned()));
        Ok(handle)
    }

    fn wait_for_event(&self, name: &str) -> Result<Handle, HostError> {
        Ok(self.state.borrow_mut().wait_for_event(name))
    }

    fn send_event(&self, instance_id: &str, name: &str, data: &str) -> Result<(), HostError> {
        self.record(TestAction::SendEvent {
            instance_id: instance_id.to_owned(),
            name: name.to_owned(),
            data: data.to_owned(),
        });
        Ok(())
    }

    fn call_http(&self, request: &HttpCall) -> Result<Handle, HostError> {
        let handle = self.state.borrow_mut().begin(TestAction::CallHttp(request.clone()));
        let scripted = self.state.borrow().http.clone();
        let outcome = match scripted {
            Some(answer) => (answer.borrow_mut())(request),
            None => Err(not_scripted(&request.uri)),
        };
        self.answer(handle, outcome.and_then(|response| to_json(&response)));
        Ok(handle)
    }

    fn continue_as_new(&self, input: &str, _preserve_events: bool) {
        self.state.borrow_mut().continued_as_new = Some(input.to_owned());
    }
}

fn not_scripted(name: &str) -> Failure {
    Failure::new("FunctionNotFound", format!("the test says nothing of `{name}`")).non_retriable()
}

/// A failure as the host gives it to the one who called.
fn wrapped(kind: Kind, name: &str, failure: Failure) -> Failure {
    let (error_type, what) = match kind {
        Kind::Activity => ("ActivityFailed", "activity"),
        Kind::SubOrchestration => ("SubOrchestrationFailed", "orchestrator"),
    };
    let message = format!(
        "The {what} function '{name}' failed: \"{}\". See the function execution logs for \
         additional details.",
        failure.error_message
    );
    let mut outer = Failure::new(error_type, message);
    outer.is_non_retriable = failure.is_non_retriable;
    outer.properties.clone_from(&failure.properties);
    outer.with_cause(failure)
}

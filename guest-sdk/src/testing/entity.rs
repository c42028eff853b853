//! Entities of a [`TestHost`]: their own functions, run natively, with the state and what they send
//! in plain sight.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exported::entity as wit;
use crate::entity::EntityCall;
use crate::error::Failure;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::payload::{from_optional_json, to_optional_json};
use crate::proxy::{Caller, Operation};
use crate::registration::find_entity;
use crate::testing::operation::Running;
use crate::testing::state::Signal;
use crate::testing::{TestAction, TestHost, json_of_test};

/// What a [`TestHost`] knows of entities.
#[derive(Default)]
pub(super) struct Entities {
    records: BTreeMap<EntityId, Record>,
    /// Names of the functions that are run, in lower case.
    run: BTreeSet<String>,
}

/// One entity.
#[derive(Clone, Default)]
struct Record {
    state: StoredState,
    sent: Vec<TestAction>,
}

/// What operations see and change.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredState {
    /// JSON text; `None`: the entity does not exist, and all else is as in the default.
    pub(super) value: Option<String>,
    pub(super) version: u32,
    pub(super) fields: Vec<(String, String)>,
    pub(super) time_to_live_ms: Option<u64>,
}

/// Where an operation is among those that are run together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    size: u32,
    position: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 1, position: 0 }
    }
}

impl Entities {
    /// Whether the entity's own function is to be run for an orchestrator.
    pub(super) fn is_run(&self, entity: &EntityId) -> bool {
        self.run.contains(entity.name())
    }

    fn record(&self, entity: &EntityId) -> Record {
        self.records.get(entity).cloned().unwrap_or_default()
    }
}

/// Entities of this component.
impl TestHost {
    /// From now on the entities of this name are run for real, with the function or the `impl` block
    /// that has the attribute `#[entity]` in this crate, wherever the test does not say itself what
    /// they answer. They are called and signalled by the orchestrator, and signal each other.
    ///
    /// ```
    /// use everstate_sdk::testing::TestHost;
    /// use everstate_sdk::{Failure, OrchestrationContext, entity};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Default, Serialize, Deserialize)]
    /// struct Counter {
    ///     value: i64,
    /// }
    ///
    /// #[entity]
    /// impl Counter {
    ///     fn add(&mut self, amount: i64) -> i64 {
    ///         self.value += amount;
    ///         self.value
    ///     }
    /// }
    ///
    /// // In a component it has `#[orchestrator]`.
    /// async fn Twice(context: OrchestrationContext) -> Result<i64, Failure> {
    ///     let counter = Counter::proxy("a")?;
    ///     counter.add(1).signal(&context)?;
    ///     counter.add(1).call(&context).await
    /// }
    ///
    /// let host = TestHost::new();
    /// host.run_entity("Counter");
    /// assert_eq!(host.run(Twice).unwrap(), 2);
    /// assert_eq!(host.entity("Counter", "a").state::<Counter>().unwrap().value, 2);
    /// ```
    ///
    /// # Panics
    /// If there is no such entity in this crate.
    pub fn run_entity(&self, name: &str) {
        assert_is_known(name);
        self.state.borrow_mut().entities.run.insert(name.to_ascii_lowercase());
    }

    /// One entity of this component. It need not exist yet.
    ///
    /// # Panics
    /// If there is no such entity in this crate, or the key is none.
    #[must_use]
    pub fn entity(&self, name: &str, key: &str) -> TestEntity {
        assert_is_known(name);
        let entity = EntityId::new(name, key).expect("a test gives an id that can be");
        TestEntity { host: self.clone(), entity, batch: Batch::default() }
    }

    /// Does what entities that are run were told to do before the end of a span of time, and lets
    /// that time pass. [`Duration::ZERO`]: what is due now.
    pub fn advance(&self, span: Duration) {
        self.pass(self.now() + span);
    }

    /// Runs one operation of an entity. What it wants happens if it ends well.
    pub(super) fn operate(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        batch: Batch,
    ) -> Result<Option<String>, Failure> {
        let (run, options) = find_entity(entity.name())?;
        let stored = self.state.borrow().entities.record(entity).state;
        let is_read_only = options.is_read_only(operation);
        let running = Rc::new(Running {
            host: self.clone(),
            read_only: is_read_only.then(|| format!("`{operation}` of `{}`", entity.name())),
            state: RefCell::new(stored),
            sent: RefCell::default(),
        });
        let operation = wit::Operation {
            entity: entity.to_wit(),
            name: operation.to_owned(),
            input: input.map(str::to_owned),
            batch_size: batch.size,
            batch_position: batch.position,
        };
        let call = EntityCall::new(operation, options).with_host(Rc::clone(&running) as _);
        let result = run(call)?;
        self.take_effects(entity, &running);
        Ok(result)
    }

    /// Does what an entity was told to do, if it is run.
    pub(super) fn run_signal(&self, signal: Signal) {
        let Signal { entity, operation, input } = signal;
        if !self.state.borrow().entities.is_run(&entity) {
            return;
        }
        if let Err(failure) = self.operate(&entity, &operation, input.as_deref(), Batch::default())
        {
            let text =
                format!("the signalled operation `{operation}` of {entity} failed: {failure}");
            self.state.borrow_mut().log_lines.push((LogLevel::Error, text));
        }
    }

    fn take_effects(&self, entity: &EntityId, running: &Running) {
        let mut state = self.state.borrow_mut();
        let (sent, mut stored) = (running.sent.take(), running.state.take());
        if stored.value.is_none() {
            stored = StoredState::default();
        }
        for action in &sent {
            if let TestAction::SignalEntity { entity, operation, input, at } = action {
                let due = at.unwrap_or(state.now);
                let (entity, operation) = (entity.clone(), operation.clone());
                state.signal_at(due, Signal { entity, operation, input: input.clone() });
            }
        }
        let record = state.entities.records.entry(entity.clone()).or_default();
        record.state = stored;
        record.sent.extend(sent);
    }
}

/// A test calls entities of this component: `Counter::proxy("a")?.add(1).call(&host)`.
impl Caller for TestHost {
    type Called<T: DeserializeOwned> = Result<T, Failure>;

    fn call<T: DeserializeOwned>(&self, operation: Operation<T>) -> Result<T, Failure> {
        let (entity, name, input) = operation.parts()?;
        let result = self.operate(&entity, name, input.as_deref(), Batch::default())?;
        result_of(name, result.as_deref())
    }
}

/// One entity, driven by the test: its function is run natively, an operation at a time. Cheap to
/// clone; clones are the same entity.
///
/// An operation that fails changes nothing and sends nothing. What one sends to others is written
/// down ([`sent`](Self::sent)); it is done only if their functions are run
/// ([`TestHost::run_entity`]), when the test lets time pass ([`TestHost::advance`]). A time to live is
/// written down and never ends here.
///
/// ```
/// use everstate_sdk::testing::TestEntity;
/// use everstate_sdk::{EntityContext, Failure, entity};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Account {
///     cents: u64,
/// }
///
/// #[entity]
/// impl Account {
///     fn withdraw(&mut self, context: &mut EntityContext, cents: u64) -> Result<u64, Failure> {
///         let left = self.cents.checked_sub(cents);
///         self.cents = left.ok_or_else(|| Failure::new("TooLittle", "there is less than that"))?;
///         Account::proxy("bank")?.deposit(cents).signal(context)?;
///         Ok(self.cents)
///     }
///
///     fn deposit(&mut self, cents: u64) {
///         self.cents += cents;
///     }
/// }
///
/// let account = TestEntity::new("Account", "Ada");
/// account.call::<()>("deposit", &100).unwrap();
/// assert_eq!(account.call::<u64>("withdraw", &70).unwrap(), 30);
/// let failure = account.call::<u64>("withdraw", &70).unwrap_err();
/// assert_eq!(failure.error_type, "TooLittle");
/// assert_eq!(account.state::<Account>().unwrap().cents, 30);
/// assert_eq!(account.sent().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct TestEntity {
    host: TestHost,
    entity: EntityId,
    batch: Batch,
}

impl TestEntity {
    /// An entity on a host of its own.
    ///
    /// # Panics
    /// If there is no such entity in this crate, or the key is none.
    #[must_use]
    pub fn new(name: &str, key: &str) -> Self {
        TestHost::new().entity(name, key)
    }

    /// The same entity, whose operations are told that they stand at a place (from 0) in a batch of a
    /// size. Otherwise each is alone.
    #[must_use]
    pub fn in_batch(mut self, position: u32, size: u32) -> Self {
        self.batch = Batch { size, position };
        self
    }

    /// Its id.
    #[must_use]
    pub fn entity_id(&self) -> &EntityId {
        &self.entity
    }

    /// The host that it is on: its log, its clock.
    #[must_use]
    pub fn host(&self) -> &TestHost {
        &self.host
    }

    /// Runs an operation and gives its result. `&()` is no input.
    ///
    /// # Errors
    /// The failure of the operation; a result that is not an `R`.
    ///
    /// # Panics
    /// If the input has no JSON form; where a component would trap.
    pub fn call<R: DeserializeOwned>(
        &self,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<R, Failure> {
        let input = to_optional_json(input).expect("what a test gives has a JSON form");
        let result = self.host.operate(&self.entity, operation, input.as_deref(), self.batch)?;
        result_of(operation, result.as_deref())
    }

    /// The state as it is stored; `None` if there is none.
    ///
    /// # Panics
    /// If it is not an `S`.
    #[must_use]
    pub fn state<S: DeserializeOwned>(&self) -> Option<S> {
        let json = self.state_json()?;
        Some(serde_json::from_str(&json).expect("the state has the shape that the test asks for"))
    }

    /// The state as JSON text.
    #[must_use]
    pub fn state_json(&self) -> Option<String> {
        self.stored().value
    }

    /// The version that the state was written by.
    #[must_use]
    pub fn state_version(&self) -> u32 {
        self.stored().version
    }

    /// The fields that the entity is found by: names, and values as JSON text.
    #[must_use]
    pub fn indexes(&self) -> Vec<(String, String)> {
        self.stored().fields
    }

    /// What the entity said of how long it lives; `None`: what its attribute says.
    /// [`Duration::MAX`]: for ever.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.stored().time_to_live_ms.map(|ms| match ms {
            u64::MAX => Duration::MAX,
            ms => Duration::from_millis(ms),
        })
    }

    /// Puts a state there, as if code of that version had written it. One whose JSON is `null` deletes.
    ///
    /// # Panics
    /// If it has no JSON form.
    pub fn set_state<S: Serialize + ?Sized>(&self, state: &S, version: u32) {
        let value = Some(json_of_test(state)).filter(|json| json != crate::payload::NULL);
        let stored = match value {
            Some(_) => StoredState { value, version, ..StoredState::default() },
            None => StoredState::default(),
        };
        let mut host = self.host.state.borrow_mut();
        host.entities.records.entry(self.entity.clone()).or_default().state = stored;
    }

    /// The signals and starts of all operations so far that ended well, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<TestAction> {
        self.host.state.borrow().entities.record(&self.entity).sent
    }

    fn stored(&self) -> StoredState {
        self.host.state.borrow().entities.record(&self.entity).state
    }
}

fn result_of<R: DeserializeOwned>(operation: &str, result: Option<&str>) -> Result<R, Failure> {
    from_optional_json(result, &format!("the result of the operation `{operation}`"))
}

fn assert_is_known(name: &str) {
    assert!(find_entity(name).is_ok(), "this crate has no entity `{name}` with `#[entity]`");
}

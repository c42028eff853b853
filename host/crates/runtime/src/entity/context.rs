//! The host side of the contract's interface `entity-context`: what one operation sees of its entity and
//! wants of it. Nothing of it has an effect before the operation has ended well.

use std::sync::Arc;

use everstate_engine::guest::{EntityEffect, EntityOperation, EntityOptions};
use everstate_types::limits::{
    ENTITY_EFFECTS_BYTES_MAX, ENTITY_EFFECTS_MAX, ENTITY_INDEX_VALUE_BYTES_MAX, ENTITY_INDEXES_MAX,
};
use everstate_types::{
    EntityId, EntityState, FunctionKind, FunctionName, InstanceId, Payload, RequestId, Timestamp,
    TraceContext,
};
use uuid::Uuid;

use crate::bindings::imports::entity_context;
use crate::bindings::imports::types::{self, HostError, LogLevel};
use crate::convert::{
    entity_id, function_name, instance_id, invalid, level, optional_payload, payload,
};
use crate::error::{GuestError, Refusal};
use crate::state::GuestState;

/// One operation under way: what it sees and what it wants.
#[derive(Debug)]
pub(crate) struct EntityRun {
    /// The entity function.
    pub(crate) function: FunctionName,
    /// The entity.
    pub(crate) entity: EntityId,
    request_id: RequestId,
    options: Arc<EntityOptions>,
    /// The operation's name, if it is declared to change nothing.
    read_only: Option<String>,
    state: EntityState,
    effects: Vec<EntityEffect>,
    /// What the effects carry.
    effects_bytes: usize,
    /// The trace that it belongs to.
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl EntityRun {
    pub(crate) fn new(
        (function, options): (&FunctionName, &Arc<EntityOptions>),
        entity: &EntityId,
        operation: &EntityOperation,
        state: EntityState,
    ) -> Self {
        let name = &operation.operation;
        Self {
            function: function.clone(),
            entity: entity.clone(),
            request_id: operation.request_id,
            options: Arc::clone(options),
            read_only: options.is_read_only(name).then(|| name.clone()),
            state,
            effects: Vec::new(),
            effects_bytes: 0,
            trace: operation.trace.clone(),
        }
    }

    /// The state and what is sent, when the operation has ended well.
    pub(crate) fn into_effects(self) -> (EntityState, Vec<EntityEffect>) {
        // What was said of a state that there is none of in the end is as little.
        let state = if self.state.value.is_some() { self.state } else { EntityState::default() };
        (state, self.effects)
    }

    /// How large the state is.
    pub(crate) fn state_bytes(&self) -> usize {
        self.state.value.as_ref().map_or(0, Payload::len)
    }

    /// Says no for an operation that is declared to change nothing.
    fn check_writable(&self, function: &str) -> Result<(), Refusal> {
        match &self.read_only {
            None => Ok(()),
            Some(operation) => Err(Refusal(format!(
                "the operation `{operation}` of `{}` is declared as read-only, it must not use \
                 `{function}`",
                self.entity.name()
            ))),
        }
    }

    /// The same, where the guest gets an answer.
    fn writable(&self, function: &str) -> Result<(), HostError> {
        self.check_writable(function).map_err(|refusal| HostError::NotSupported(refusal.0))
    }

    fn set_state(&mut self, state: String, bytes_max: usize) -> Result<(), HostError> {
        self.writable("set-state")?;
        if state.len() > bytes_max {
            return Err(HostError::LimitExceeded(format!(
                "limits.entity_state_bytes_max: {} bytes, {bytes_max} allowed",
                state.len()
            )));
        }
        let state = Payload::from(state);
        if state.is_null() {
            self.state = EntityState::default();
        } else {
            self.state.value = Some(state);
        }
        Ok(())
    }

    fn set_indexes(&mut self, values: Vec<(String, String)>) -> Result<(), HostError> {
        self.writable("set-indexes")?;
        if values.len() > ENTITY_INDEXES_MAX {
            return Err(HostError::LimitExceeded(format!(
                "{} indexes, {ENTITY_INDEXES_MAX} allowed",
                values.len()
            )));
        }
        if let Some((name, _)) =
            values.iter().find(|(name, _)| !self.options.indexes.contains(name))
        {
            let function = self.entity.name();
            return Err(invalid(&format!("`{function}` declares no index `{name}`")));
        }
        let too_long = |value: &str| value.len() > ENTITY_INDEX_VALUE_BYTES_MAX;
        if let Some((name, value)) = values.iter().find(|(_, value)| too_long(value)) {
            return Err(HostError::LimitExceeded(format!(
                "the value of the index `{name}`: {} bytes, {ENTITY_INDEX_VALUE_BYTES_MAX} allowed",
                value.len()
            )));
        }
        let mut fields: Vec<_> =
            values.into_iter().map(|(name, value)| (name, Payload::from(value))).collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(twice) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(invalid(&format!("two values of the index `{}`", twice[0].0)));
        }
        self.state.fields = fields;
        Ok(())
    }

    fn push(&mut self, effect: EntityEffect) -> Result<(), HostError> {
        if self.effects.len() >= ENTITY_EFFECTS_MAX {
            return Err(HostError::LimitExceeded(format!(
                "an operation may send {ENTITY_EFFECTS_MAX} signals and starts"
            )));
        }
        let bytes = self.effects_bytes + carried_bytes(&effect);
        if bytes > ENTITY_EFFECTS_BYTES_MAX {
            return Err(HostError::LimitExceeded(format!(
                "the signals and starts of an operation may carry {ENTITY_EFFECTS_BYTES_MAX} bytes"
            )));
        }
        self.effects_bytes = bytes;
        self.effects.push(effect);
        Ok(())
    }

    /// The same if the operation is run again after a crash.
    fn derived_instance_id(&self) -> InstanceId {
        let name = self.effects.len().to_be_bytes();
        InstanceId::from_guid(Uuid::new_v5(&self.request_id, &name))
    }
}

fn carried_bytes(effect: &EntityEffect) -> usize {
    match effect {
        EntityEffect::Signal { operation, input, .. } => {
            operation.len() + input.as_ref().map_or(0, Payload::len)
        }
        EntityEffect::Start { input, .. } => input.len(),
    }
}

type Answer<T> = wasmtime::Result<Result<T, HostError>>;

impl entity_context::Host for GuestState {
    fn get_state(&mut self) -> wasmtime::Result<Option<String>> {
        let value = self.entity()?.state.value.as_ref();
        Ok(value.map(|state| state.as_str().to_owned()))
    }

    fn set_state(&mut self, state: String) -> Answer<()> {
        let bytes_max = self.host.config.entity_state_bytes_max;
        Ok(self.entity()?.set_state(state, bytes_max))
    }

    fn delete_state(&mut self) -> wasmtime::Result<()> {
        let run = self.entity()?;
        run.check_writable("delete-state")?;
        run.state = EntityState::default();
        Ok(())
    }

    fn state_version(&mut self) -> wasmtime::Result<u32> {
        Ok(self.entity()?.state.version)
    }

    fn set_state_version(&mut self, version: u32) -> wasmtime::Result<()> {
        let run = self.entity()?;
        run.check_writable("set-state-version")?;
        run.state.version = version;
        Ok(())
    }

    fn set_indexes(&mut self, values: Vec<(String, String)>) -> Answer<()> {
        Ok(self.entity()?.set_indexes(values))
    }

    fn set_time_to_live(&mut self, span: Option<u64>) -> wasmtime::Result<()> {
        let run = self.entity()?;
        run.check_writable("set-time-to-live")?;
        run.state.time_to_live_ms = span;
        Ok(())
    }

    fn signal_entity(
        &mut self,
        entity: types::EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let host = Arc::clone(&self.host);
        let run = self.entity()?;
        let effect = run.writable("signal-entity").and_then(|()| {
            let entity = entity_id(&entity)?;
            if host.catalog.find_for_work(FunctionKind::Entity, entity.name()).is_none() {
                let error = GuestError::FunctionNotFound(entity.name().to_owned(), "an entity");
                return Err(HostError::NotFound(error.to_string()));
            }
            let input = optional_payload(input, host.config.payload_bytes_max)?;
            let at = at.map(Timestamp::from_millis);
            Ok(EntityEffect::Signal { entity, operation, input, at })
        });
        Ok(effect.and_then(|effect| run.push(effect)))
    }

    fn start_orchestration(
        &mut self,
        name: String,
        input: String,
        id: Option<String>,
    ) -> Answer<String> {
        let bytes_max = self.host.config.payload_bytes_max;
        let run = self.entity()?;
        let effect = run.writable("start-orchestration").and_then(|()| {
            let name = function_name(&name)?;
            let input = payload(input, bytes_max)?;
            let instance_id = match id.as_deref() {
                Some(id) => instance_id(id)?,
                None => run.derived_instance_id(),
            };
            Ok((instance_id.clone(), EntityEffect::Start { name, instance_id, input }))
        });
        Ok(effect.and_then(|(id, effect)| run.push(effect).map(|()| id.to_string())))
    }

    fn log(&mut self, of: LogLevel, message: String) -> wasmtime::Result<()> {
        self.entity()?;
        GuestState::log(self, level(of), &message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use everstate_engine::guest::{EntityOperation, EntityOptions};
    use everstate_types::limits::ENTITY_EFFECTS_MAX;
    use everstate_types::{EntityId, EntityState, FunctionName, Payload};
    use uuid::Uuid;

    use super::{EntityRun, HostError, entity_context, types};
    use crate::determinism::tests::guest;
    use crate::state::{GuestState, Role};

    /// An operation of an entity with state; `get` is read-only.
    fn run(operation: &str) -> EntityRun {
        let options = EntityOptions {
            read_only: vec!["get".to_owned()],
            time_to_live_ms: None,
            indexes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        };
        let operation = EntityOperation {
            request_id: Uuid::nil(),
            operation: operation.to_owned(),
            input: None,
            trace: None,
        };
        let entity = EntityId::new("Counter", "1").expect("a valid id");
        let state =
            EntityState { value: Some(Payload::from("1")), version: 3, ..EntityState::default() };
        let function = FunctionName::new("Counter").expect("a valid name");
        EntityRun::new((&function, &Arc::new(options)), &entity, &operation, state)
    }

    fn indexes(values: &[(&str, &str)]) -> (Result<(), HostError>, EntityRun) {
        let mut run = run("add");
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let result = run.set_indexes(values.iter().map(owned).collect());
        (result, run)
    }

    #[test]
    fn indexes_are_kept_in_the_order_of_their_names() {
        let (result, run) = indexes(&[("c", "3"), ("a", "1")]);
        assert!(result.is_ok(), "{result:?}");
        let expected = [("a", "1"), ("c", "3")].map(|(n, v)| (n.to_owned(), Payload::from(v)));
        assert_eq!(run.into_effects().0.fields, expected);
    }

    #[test]
    fn indexes_that_are_wrong_are_refused_with_the_mistake_and_change_nothing() {
        let long = "1".repeat(1_025);
        for (values, text) in [
            (vec![("a", "1"), ("d", "1")], "`counter` declares no index `d`"),
            (vec![("A", "1")], "`counter` declares no index `A`"),
            (vec![("a", "1"), ("a", "1")], "two values of the index `a`"),
            (vec![("a", long.as_str())], "the index `a`: 1025 bytes, 1024 allowed"),
            (vec![("a", "1"); 9], "9 indexes, 8 allowed"),
        ] {
            let (result, run) = indexes(&values);
            let Err(HostError::InvalidArgument(said) | HostError::LimitExceeded(said)) = result
            else {
                panic!("{result:?}");
            };
            assert!(said.contains(text), "{said}");
            assert_eq!(run.into_effects().0.fields, []);
        }
        let (result, _) = indexes(&[("a", &long[1..])]);
        assert!(result.is_ok(), "{result:?}");
    }

    #[tokio::test]
    async fn operation_that_fails_to_set_its_state_has_the_one_before() {
        let mut guest = guest(Role::Entity(run("add")));
        let limit = guest.host.config.entity_state_bytes_max;
        let refused = entity_context::Host::set_state(&mut guest, "x".repeat(limit + 1));
        let Ok(Err(HostError::LimitExceeded(text))) = refused else { panic!("{refused:?}") };
        assert!(text.contains("entity_state_bytes_max"), "{text}");
        let state = entity_context::Host::get_state(&mut guest).expect("no trap");
        assert_eq!(state.as_deref(), Some("1"));
        assert_eq!(entity_context::Host::state_version(&mut guest).expect("no trap"), 3);
    }

    fn signal(guest: &mut GuestState, input: Option<String>) -> Result<(), HostError> {
        let entity = types::EntityId { name: "nobody".to_owned(), key: "1".to_owned() };
        let sent =
            entity_context::Host::signal_entity(guest, entity, "add".to_owned(), input, None);
        sent.expect("no trap")
    }

    fn start(guest: &mut GuestState, input: &str) -> Result<String, HostError> {
        let (name, input) = ("Anybody".to_owned(), input.to_owned());
        let started = entity_context::Host::start_orchestration(guest, name, input, None);
        started.expect("no trap")
    }

    #[tokio::test]
    async fn signal_to_an_entity_that_no_function_runs_is_not_found() {
        let refused = signal(&mut guest(Role::Entity(run("add"))), None);
        let Err(HostError::NotFound(text)) = refused else { panic!("{refused:?}") };
        let expected =
            "The function 'nobody' doesn't exist, is disabled, or is not an entity function.";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn what_an_operation_sends_is_bounded_in_number_and_in_bytes() {
        let mut many = guest(Role::Entity(run("add")));
        let mut ids = std::collections::HashSet::new();
        for _ in 0..ENTITY_EFFECTS_MAX {
            assert!(ids.insert(start(&mut many, "null").expect("allowed")));
        }
        assert!(matches!(start(&mut many, "null"), Err(HostError::LimitExceeded(_))));
        let mut large = guest(Role::Entity(run("add")));
        let input = "1".repeat(16 << 20);
        for _ in 0..4 {
            assert!(start(&mut large, &input).is_ok());
        }
        let refused = start(&mut large, "1");
        let Err(HostError::LimitExceeded(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("67108864 bytes"), "{text}");
    }
}

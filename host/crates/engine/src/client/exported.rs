//! What leaves a host for another one, and whether what comes could have left one.

use everstate_types::limits::{
    CUSTOM_STATUS_BYTES_MAX, ENTITY_INDEX_VALUE_BYTES_MAX, ENTITY_INDEXES_MAX, TAGS_MAX,
};
use everstate_types::{
    EntityId, EntityRecord, EventKind, FunctionName, HistoryEvent, HistoryProblem, InstanceId,
    OrchestrationRecord, Payload, RuntimeStatus, Timestamp, check_history,
};

/// All that another host needs to go on with an orchestration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedOrchestration {
    /// What is stored of it.
    pub record: OrchestrationRecord,
    /// The history of its current execution, oldest event first.
    pub history: Vec<HistoryEvent>,
    /// What has come in and no turn has taken up, as the events that it will become.
    pub waiting: Vec<EventKind>,
}

/// Why an orchestration could not have been exported by any host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportProblem {
    /// Which event, if it is about one: those that wait follow those of the history.
    pub event: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl ExportProblem {
    fn of_event(event: usize, reason: impl Into<String>) -> Self {
        Self { event: Some(event), reason: reason.into() }
    }
}

impl From<String> for ExportProblem {
    fn from(reason: String) -> Self {
        Self { event: None, reason }
    }
}

impl ExportedOrchestration {
    /// Checks that a host could have exported this: that all of it fits together. Payloads are not looked at.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), ExportProblem> {
        let began = |kind: &EventKind| {
            matches!(kind, EventKind::OrchestratorStarted | EventKind::ExecutionStarted { .. })
        };
        check_record(&self.record, self.history.iter().any(|event| began(&event.kind)))?;
        let fits = check_history(&self.record, &self.history);
        fits.map_err(|problem| of_history("its history does not fit", &problem))?;
        for (index, event) in self.history.iter().enumerate() {
            if event.timestamp > Timestamp::LAST_WRITABLE {
                return Err(ExportProblem::of_event(index, "its time is none"));
            }
        }
        let kinds = self.history.iter().map(|event| &event.kind).chain(&self.waiting);
        if let Some(index) = kinds.into_iter().position(|kind| !has_good_ids(kind)) {
            return Err(ExportProblem::of_event(index, "an id in it is none"));
        }
        self.check_waiting()
    }

    /// What waits has to be what could come next.
    fn check_waiting(&self) -> Result<(), ExportProblem> {
        let Self { record, history, waiting } = self;
        if record.status.is_finished() && !waiting.is_empty() {
            return Err("it has ended, and something waits for it".to_owned().into());
        }
        let now = record.updated_at;
        let mut longer = history.clone();
        longer.extend(waiting.iter().map(|kind| HistoryEvent::new(now, kind.clone())));
        let last = history.last().map_or(now, |event| event.timestamp);
        if last > now {
            return Err("its history is younger than its record".to_owned().into());
        }
        if let Some(index) = waiting.iter().position(|kind| !comes_in(kind)) {
            let index = history.len() + index;
            return Err(ExportProblem::of_event(index, "it is nothing that comes in"));
        }
        check_history(record, &longer)
            .map_err(|problem| of_history("what waits for it does not fit", &problem))
    }
}

/// Checks that a host could have exported this state of an entity. Payloads are not looked at.
///
/// # Errors
/// The first thing that does not fit.
pub fn check_exported_entity(record: &EntityRecord) -> Result<(), String> {
    let EntityRecord { state, large, last_operation_at, lock, expiry: _ } = record;
    if state.value.as_ref().is_none_or(Payload::is_null) {
        return Err("it has no state".to_owned());
    }
    if large.is_some() || lock.is_some() {
        return Err("its lock and the file of its state belong to another host".to_owned());
    }
    if *last_operation_at > Timestamp::LAST_WRITABLE {
        return Err("the time of its last operation is none".to_owned());
    }
    if state.fields.len() > ENTITY_INDEXES_MAX {
        return Err(format!("it has more than {ENTITY_INDEXES_MAX} fields that it is found by"));
    }
    if !state.fields.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err("its fields are not in the order of their names".to_owned());
    }
    match state.fields.iter().find(|(_, value)| value.len() > ENTITY_INDEX_VALUE_BYTES_MAX) {
        Some((name, _)) => {
            Err(format!("the field `{name}` has more than {ENTITY_INDEX_VALUE_BYTES_MAX} bytes"))
        }
        None => Ok(()),
    }
}

fn check_record(record: &OrchestrationRecord, has_begun: bool) -> Result<(), String> {
    let status = record.status;
    if FunctionName::new(record.name.as_str()).is_err() {
        return Err(format!("`{}` is no name of an orchestrator", record.name));
    }
    if record.tags.len() > TAGS_MAX {
        return Err(format!("it has {} tags, more than {TAGS_MAX}", record.tags.len()));
    }
    if record.created_at > record.updated_at || record.updated_at > Timestamp::LAST_WRITABLE {
        return Err("its times are none that follow each other".to_owned());
    }
    if record.custom_status.as_ref().is_some_and(|it| it.len() > CUSTOM_STATUS_BYTES_MAX) {
        return Err(format!("its custom status has more than {CUSTOM_STATUS_BYTES_MAX} bytes"));
    }
    if !status.is_finished() && record.output.is_some() {
        return Err(format!("it is {status} and has an output"));
    }
    if status == RuntimeStatus::Pending && (has_begun || record.failure.is_some()) {
        return Err("it is Pending and has begun".to_owned());
    }
    Ok(())
}

fn of_history(what: &str, problem: &HistoryProblem) -> ExportProblem {
    let event = match problem {
        HistoryProblem::Event { index, .. } => Some(*index),
        HistoryProblem::Whole(_) => None,
    };
    ExportProblem { event, reason: format!("{what}: {problem}") }
}

fn has_good_ids(kind: &EventKind) -> bool {
    match kind {
        EventKind::SubOrchestrationCreated { instance_id, .. }
        | EventKind::OrchestrationStartSent { instance_id, .. }
        | EventKind::EventSent { instance_id, .. } => {
            InstanceId::orchestration(instance_id.as_str()).is_ok()
        }
        EventKind::EntityOperationCalled { entity, .. }
        | EventKind::EntityOperationSignaled { entity, .. }
        | EventKind::EntityUnlockSent { entity, .. } => is_entity(entity),
        EventKind::EntityLockRequested { lock_set, .. } => lock_set.iter().all(is_entity),
        _ => true,
    }
}

fn is_entity(entity: &EntityId) -> bool {
    EntityId::new(entity.name(), entity.key()).is_ok_and(|good| good == *entity)
}

fn comes_in(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::OrchestratorStarted
            | EventKind::OrchestratorCompleted
            | EventKind::ExecutionCompleted { .. }
            | EventKind::ExecutionTerminated { .. }
            | EventKind::ContinuedAsNew { .. }
    )
}

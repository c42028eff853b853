//! [`Explanation`]: why an orchestration waits, as it is told to people.
//!
//! What the partition knows is in `partition/orchestration/explain.rs`; `client/explain.rs` asks the
//! guest and the entities for the rest.

use everstate_types::{EntityId, EntityLock, InstanceId, RuntimeStatus, Timestamp};

/// Why an orchestration waits, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// Where it is in its life.
    pub status: RuntimeStatus,
    /// When it last changed.
    pub since: Timestamp,
    /// What it waits for; empty if it has ended. What stops it altogether comes first.
    pub reasons: Vec<Reason>,
    /// How much more its code waits for than stands in `reasons`.
    pub more_count: usize,
    /// The entities that it holds, and since when.
    pub locks_held: Vec<(EntityId, Timestamp)>,
}

/// One thing that an orchestration waits for. What does not apply to its kind is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it is.
    pub kind: ReasonKind,
    /// Since when it waits for that.
    pub since: Timestamp,
    /// The function, the operation of the entity, or the event.
    pub name: Option<String>,
    /// When a timer or a scheduled start is due.
    pub due: Option<Timestamp>,
    /// The entity that is called, or where the request for a lock waits.
    pub entity: Option<EntityId>,
    /// Who holds that entity, if it is another one.
    pub held_by: Option<EntityLock>,
    /// Operations and requests for locks that wait at that entity.
    pub waiting_count: Option<usize>,
    /// The child.
    pub instance_id: Option<InstanceId>,
    /// In words: more of it.
    pub message: Option<String>,
}

impl Reason {
    /// A reason of which nothing is known but its kind and its time.
    #[must_use]
    pub fn new(kind: ReasonKind, since: Timestamp) -> Self {
        Self {
            kind,
            since,
            name: None,
            due: None,
            entity: None,
            held_by: None,
            waiting_count: None,
            instance_id: None,
            message: None,
        }
    }

    /// The same with something in words.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }
}

/// What an orchestration can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// A client has paused it.
    Suspended,
    /// Its code does not follow its history.
    NotFitting,
    /// It is to begin at a later time.
    ScheduledStart,
    /// It is about to begin.
    Start,
    /// It is about to go on with the newest code, after a rewind or a resumption.
    NewestCode,
    /// Its code runs at this moment.
    Turn,
    /// The result of an activity.
    Activity,
    /// A timer.
    Timer,
    /// An external event.
    Event,
    /// The result of an entity's operation.
    Entity,
    /// The locks of a critical section.
    Lock,
    /// The end of a child.
    SubOrchestration,
    /// Something that cannot be told: its code is not there or cannot be run again.
    Unknown,
}

impl ReasonKind {
    /// The name as the management API has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::NotFitting => "notFitting",
            Self::ScheduledStart => "scheduledStart",
            Self::Start => "start",
            Self::NewestCode => "newestCode",
            Self::Turn => "turn",
            Self::Activity => "activity",
            Self::Timer => "timer",
            Self::Event => "event",
            Self::Entity => "entity",
            Self::Lock => "lock",
            Self::SubOrchestration => "subOrchestration",
            Self::Unknown => "unknown",
        }
    }
}

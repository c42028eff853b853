//! Every fixed limit of the system, each with its reason. Limits that an operator may change are
//! fields of the crates' configurations.

/// Longest instance id, in characters. The original's `MaxInstanceIdLength`; ids are keys on disk.
pub const INSTANCE_ID_CHARS_MAX: usize = 256;

/// Longest entity key, in characters. A key is part of every row and message of its entity.
pub const ENTITY_KEY_CHARS_MAX: usize = 1_000;

/// Longest function name, in characters. Names stand in each record of their instances.
pub const FUNCTION_NAME_CHARS_MAX: usize = 256;

/// Largest custom status, in bytes. The original allows 16 KiB; it is rewritten with every turn.
pub const CUSTOM_STATUS_BYTES_MAX: usize = 16 * 1024;

/// Most actions of one execution. The original's `MaxOrchestrationActions`; a loop without end
/// would otherwise fill the disk.
pub const ACTIONS_MAX: u32 = 100_000;

/// Most log lines of one execution that are kept in its history.
pub const LOG_LINES_MAX: usize = 1_000;

/// Most bytes of log lines of one execution that are kept in its history.
pub const LOG_BYTES_MAX: usize = 64 * 1024;

/// Longest name of an event, in characters: it is part of every event of that name.
pub const EVENT_NAME_CHARS_MAX: usize = 256;

/// Most tags of an orchestration or an activity, inherited ones included. Each is a row of the index.
pub const TAGS_MAX: usize = 100;

/// Longest name of a tag that a client gives, in characters: it is part of a key on disk.
pub const TAG_NAME_CHARS_MAX: usize = 256;

/// Most fields of the state that entities of one type are found by: each is a row that changes with the
/// state.
pub const ENTITY_INDEXES_MAX: usize = 8;

/// Longest value of such a field, in bytes of JSON.
pub const ENTITY_INDEX_VALUE_BYTES_MAX: usize = 1_024;

/// Most entities of one critical section: each is a message and a row.
pub const LOCK_SET_MAX: usize = 1_000;

/// Most things that one answer to why an orchestration waits tells of its code: each may take a look at an
/// entity, and somebody is to read it.
pub const EXPLAINED_REASONS_MAX: usize = 100;

/// Longest idempotency key of a signal, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 256;

/// Most signals and starts of one entity operation: what one operation may put into one commit.
pub const ENTITY_EFFECTS_MAX: usize = 10_000;

/// Most bytes that signals and starts of one entity operation carry together: a guest is bounded in
/// its own memory, and this bounds what it makes the host keep.
pub const ENTITY_EFFECTS_BYTES_MAX: usize = 64 << 20;

//! What happens in a run at all: chosen once, by its seed.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What happens in a run at all.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices of a seed")]
pub(crate) struct Scope {
    /// Which orchestrations there are.
    pub(crate) kinds: Kinds,
    /// Whether orchestrations are terminated, rewound and so on.
    pub(crate) has_lifecycle: bool,
    /// Whether ids are used again.
    pub(crate) reuses_ids: bool,
    /// Whether operators break locks.
    pub(crate) breaks_locks: bool,
    /// Whether senders that are not sure send some messages again.
    pub(crate) has_copies: bool,
    /// The chance that the committer is ready when it could be.
    pub(crate) commit_rate: f64,
    /// The chance of a crash, each step.
    pub(crate) crash_rate: f64,
}

/// Orchestrations of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Those that only call entities.
    Simple,
    /// Mostly those with critical sections.
    Sections,
    /// All.
    All,
}

impl Scope {
    pub(super) fn pick(rng: &mut StdRng) -> Self {
        let reuses_ids = rng.random_bool(0.4);
        Self {
            kinds: [Kinds::Simple, Kinds::Sections, Kinds::Sections, Kinds::All, Kinds::All]
                [rng.random_range(0..5)],
            has_lifecycle: rng.random_bool(0.6),
            reuses_ids,
            breaks_locks: rng.random_bool(0.2),
            has_copies: rng.random_bool(0.5),
            commit_rate: [0.05, 0.3, 1.0][rng.random_range(0..3)],
            crash_rate: [0.001, 0.003, 0.01][rng.random_range(0..3)],
        }
    }
}

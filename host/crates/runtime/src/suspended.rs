//! [`SuspendedGuests`]: orchestrators that wait, kept with their stack and memory so that they need
//! not be replayed. A cache: whoever is dropped from it is replayed, with the same results.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use everstate_engine::guest::{Awaited, OrchestrationWorkItem};
use everstate_types::{Failure, InstanceId};

use crate::error::GuestError;
use crate::orchestration::Script;
use crate::state::lock;

/// What a suspended guest takes even if it never allocated anything, in bytes (measured: 33 KiB).
const GUEST_BYTES_MIN: usize = 48 << 10;

/// A run of an orchestrator: its store and instance, up to its result.
pub(crate) type OrchestratorFuture =
    Pin<Box<dyn Future<Output = Result<Result<String, Failure>, GuestError>> + Send>>;

/// An orchestrator under way.
pub(crate) struct OrchestratorGuest {
    /// The run.
    pub(crate) run: OrchestratorFuture,
    /// What the run sees and has asked for.
    pub(crate) script: Arc<Mutex<Script>>,
}

/// The kept guests, bounded in number and bytes; the one that was used longest ago goes first.
#[derive(Default)]
pub(crate) struct SuspendedGuests {
    guests_max: usize,
    bytes_max: usize,
    guests: HashMap<InstanceId, Kept>,
    bytes: usize,
    /// In the order of use. Holds entries of guests that are gone, known by an old stamp.
    order: VecDeque<(u64, InstanceId)>,
    next_stamp: u64,
}

struct Kept {
    guest: OrchestratorGuest,
    bytes: usize,
    stamp: u64,
}

impl SuspendedGuests {
    pub(crate) fn new(guests_max: usize, bytes_max: usize) -> Self {
        Self { guests_max, bytes_max, ..Self::default() }
    }

    /// How many are kept, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.guests.len(), self.bytes)
    }

    /// Takes out the guest that can go on with `item`. The second value is a guest of the same
    /// instance that cannot; drop it outside the lock.
    pub(crate) fn take(
        &mut self,
        item: &OrchestrationWorkItem,
    ) -> (Option<OrchestratorGuest>, Option<OrchestratorGuest>) {
        match self.remove(&item.instance_id) {
            Some(guest) if lock(&guest.script).fits(item) => (Some(guest), None),
            other => (None, other),
        }
    }

    /// What the guest waits for that could go on with `item`, if there is one. It stays.
    pub(crate) fn awaited(&self, item: &OrchestrationWorkItem) -> Option<Vec<Awaited>> {
        let kept = self.guests.get(&item.instance_id)?;
        let script = lock(&kept.guest.script);
        script.fits(item).then(|| script.awaited())
    }

    /// Takes out the guest of an instance.
    pub(crate) fn remove(&mut self, instance_id: &InstanceId) -> Option<OrchestratorGuest> {
        let kept = self.guests.remove(instance_id)?;
        self.bytes -= kept.bytes;
        Some(kept.guest)
    }

    /// Keeps a guest that has allocated `grown_bytes`. Gives those that have to go for it; drop
    /// them outside the lock.
    #[must_use]
    pub(crate) fn keep(
        &mut self,
        instance_id: InstanceId,
        guest: OrchestratorGuest,
        grown_bytes: usize,
    ) -> Vec<OrchestratorGuest> {
        let mut dropped = Vec::new();
        dropped.extend(self.remove(&instance_id));
        let bytes = grown_bytes + GUEST_BYTES_MIN;
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.order.push_back((stamp, instance_id.clone()));
        self.guests.insert(instance_id, Kept { guest, bytes, stamp });
        self.bytes += bytes;
        while self.guests.len() > self.guests_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.evict() else { break };
            dropped.push(oldest);
        }
        if self.order.len() > 2 * self.guests.len() + 64 {
            let guests = &self.guests;
            self.order.retain(|(stamp, id)| guests.get(id).is_some_and(|k| k.stamp == *stamp));
        }
        dropped
    }

    /// Takes out the guest that was used longest ago.
    pub(crate) fn evict(&mut self) -> Option<OrchestratorGuest> {
        while let Some((stamp, id)) = self.order.pop_front() {
            if self.guests.get(&id).is_some_and(|kept| kept.stamp == stamp) {
                return self.remove(&id);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use everstate_types::InstanceId;

    use super::{OrchestratorGuest, SuspendedGuests};
    use crate::orchestration::Script;
    use crate::orchestration::tests::work_item;

    fn id(name: &str) -> InstanceId {
        InstanceId::orchestration(name).expect("a valid id")
    }

    fn guest(name: &str) -> OrchestratorGuest {
        let mut item = work_item();
        item.instance_id = id(name);
        let script = Arc::new(Mutex::new(Script::new(item)));
        OrchestratorGuest { run: Box::pin(std::future::pending()), script }
    }

    fn names(guests: &[OrchestratorGuest]) -> Vec<String> {
        let name = |guest: &OrchestratorGuest| {
            guest.script.lock().expect("not poisoned").item.instance_id.to_string()
        };
        guests.iter().map(name).collect()
    }

    #[test]
    fn guest_used_longest_ago_goes_first() {
        let mut guests = SuspendedGuests::new(2, usize::MAX);
        assert!(guests.keep(id("a"), guest("a"), 0).is_empty());
        assert!(guests.keep(id("b"), guest("b"), 0).is_empty());
        let again = guests.remove(&id("a")).expect("kept");
        assert!(guests.keep(id("a"), again, 0).is_empty());
        assert_eq!(names(&guests.keep(id("c"), guest("c"), 0)), ["b"]);
        assert!(guests.remove(&id("a")).is_some());
    }

    #[test]
    fn guests_with_much_memory_make_room_by_bytes() {
        let mut guests = SuspendedGuests::new(100, 10 << 20);
        assert!(guests.keep(id("a"), guest("a"), 5 << 20).is_empty());
        assert_eq!(names(&guests.keep(id("b"), guest("b"), 6 << 20)), ["a"]);
        assert_eq!(names(&guests.keep(id("c"), guest("c"), 20 << 20)), ["b", "c"]);
        assert_eq!(guests.bytes, 0);
    }

    #[test]
    fn order_of_use_stays_bounded_over_many_turns() {
        let mut guests = SuspendedGuests::new(10, usize::MAX);
        let mut kept = guest("a");
        for _ in 0..1_000 {
            assert!(guests.keep(id("a"), kept, 0).is_empty());
            kept = guests.remove(&id("a")).expect("kept");
        }
        assert!(guests.order.len() < 100, "{}", guests.order.len());
    }
}

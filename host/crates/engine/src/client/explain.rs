//! Why an orchestration waits: what its partition knows, what its guest waits for, and how the entities
//! are that it waits for.

use std::collections::HashSet;

use everstate_types::limits::EXPLAINED_REASONS_MAX;
use everstate_types::{EntityId, EntityLock, InstanceId, Timestamp};

use super::{Client, EntityStatus, Observed, refusal};
use crate::error::ClientError;
use crate::explain::{Explanation, Reason, ReasonKind};
use crate::guest::Awaited;
use crate::partition::{Explained, OpenReason, Reply, Request, SoughtLock};
use crate::storage::CommitSeq;

impl Client {
    /// Why an orchestration waits; `None` if there is none of that id. If its guest is not in memory,
    /// its history is replayed to find out. The answer puts together what was so at different moments.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn explain(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Observed<Option<Explanation>>, ClientError> {
        let id = instance_id.clone();
        let answer = self.ask(|reply_to| Request::Explain { instance_id: id, reply_to }).await?;
        let mut seq = answer.seq;
        let explained = match answer.value {
            Reply::Explained(Some(explained)) => *explained,
            Reply::Explained(None) => return Ok(Observed { value: None, seq }),
            other => return Err(refusal(other)),
        };
        let Explained { status, since, mut reasons, open, lock_sought, locks_held, replay } =
            explained;
        let must_ask = replay.is_some();
        let awaited = match replay {
            Some(item) => self.node.executor.awaited(item).await,
            None => None,
        };
        if must_ask && awaited.is_none() {
            reasons.push(Reason::new(ReasonKind::Unknown, since).with_message(
                "Its code could not be asked what it waits for; what it has asked for stands here.",
            ));
        }
        let (awaited, more_count) = chosen(open, awaited, EXPLAINED_REASONS_MAX);
        for OpenReason { reason, idempotency_key, .. } in awaited {
            let is_running = idempotency_key.map(|key| self.node.executor.is_activity_running(key));
            reasons.push(with_activity(reason, is_running));
        }
        for reason in &mut reasons {
            self.add_entity(instance_id, reason, lock_sought.as_ref(), &mut seq).await?;
        }
        let locks_held = self.held(locks_held, &mut seq).await?;
        let instance_id = instance_id.clone();
        let value =
            Some(Explanation { instance_id, status, since, reasons, more_count, locks_held });
        Ok(Observed { value, seq })
    }

    /// Says of an entity that is waited for who holds it, and how much waits there.
    async fn add_entity(
        &self,
        own_id: &InstanceId,
        reason: &mut Reason,
        sought: Option<&SoughtLock>,
        seq: &mut CommitSeq,
    ) -> Result<(), ClientError> {
        let waits_at = match (reason.kind, sought) {
            (ReasonKind::Entity, _) => {
                let Some(entity) = reason.entity.take() else { return Ok(()) };
                let status = self.seen_entity(&entity, seq).await?;
                Some((entity, status))
            }
            (ReasonKind::Lock, Some(sought)) => self.first_not_held(sought, seq).await?,
            _ => None,
        };
        if let Some((entity, status)) = waits_at {
            reason.entity = Some(entity);
            reason.waiting_count = Some(status.as_ref().map_or(0, |status| status.waiting));
            let lock = status.and_then(|status| status.record.lock);
            reason.held_by = lock.filter(|lock| lock.instance_id != *own_id);
        }
        Ok(())
    }

    /// Where the request for a lock has come to.
    async fn first_not_held(
        &self,
        sought: &SoughtLock,
        seq: &mut CommitSeq,
    ) -> Result<Option<(EntityId, Option<EntityStatus>)>, ClientError> {
        for entity in &sought.entities {
            let status = self.seen_entity(entity, seq).await?;
            if lock_of(status.as_ref(), sought).is_none() {
                return Ok(Some((entity.clone(), status)));
            }
        }
        Ok(None)
    }

    /// The entities that are held by a request, and since when. A lock that was broken is not held.
    async fn held(
        &self,
        locks: Option<SoughtLock>,
        seq: &mut CommitSeq,
    ) -> Result<Vec<(EntityId, Timestamp)>, ClientError> {
        let mut held = Vec::new();
        let Some(locks) = locks else { return Ok(held) };
        for entity in &locks.entities {
            let status = self.seen_entity(entity, seq).await?;
            let lock = lock_of(status.as_ref(), &locks);
            held.extend(lock.map(|lock| (entity.clone(), lock.since)));
        }
        Ok(held)
    }

    async fn seen_entity(
        &self,
        entity: &EntityId,
        seq: &mut CommitSeq,
    ) -> Result<Option<EntityStatus>, ClientError> {
        let found = self.get_entity(entity).await?;
        *seq = (*seq).max(found.seq);
        Ok(found.value)
    }
}

/// What the code of an orchestration waits for: of what is open that which the guest awaits, all of it if the
/// guest was not asked, and its events. No more than `max` of it, and how many there are beyond.
fn chosen(
    open: Vec<OpenReason>,
    awaited: Option<Vec<Awaited>>,
    max: usize,
) -> (Vec<OpenReason>, usize) {
    let Some(awaited) = awaited else { return at_most(open, max) };
    let (mut numbers, mut events) = (HashSet::new(), Vec::new());
    for one in awaited {
        match one {
            Awaited::Action(number) => {
                numbers.insert(number);
            }
            Awaited::Event { name, since } => {
                let reason = Reason { name: Some(name), ..Reason::new(ReasonKind::Event, since) };
                events.push(OpenReason { number: -1, reason, idempotency_key: None });
            }
        }
    }
    let actions = open.into_iter().filter(|open| numbers.contains(&open.number));
    at_most(actions.chain(events).collect(), max)
}

fn at_most(mut reasons: Vec<OpenReason>, max: usize) -> (Vec<OpenReason>, usize) {
    let more_count = reasons.len().saturating_sub(max);
    reasons.truncate(max);
    (reasons, more_count)
}

fn lock_of<'a>(status: Option<&'a EntityStatus>, of: &SoughtLock) -> Option<&'a EntityLock> {
    status?.record.lock.as_ref().filter(|lock| lock.request_id == of.request_id)
}

/// Says whether an activity runs, or waits for its turn among others.
fn with_activity(reason: Reason, is_running: Option<bool>) -> Reason {
    let Some(is_running) = is_running else { return reason };
    let place = match is_running {
        true => "It runs.",
        false => "It waits until the limits of the host let it run.",
    };
    let message = match &reason.message {
        Some(attempt) => format!("{place} {attempt}"),
        None => place.to_owned(),
    };
    reason.with_message(message)
}

#[cfg(test)]
mod tests {
    use everstate_types::Timestamp;

    use super::{Awaited, OpenReason, Reason, ReasonKind, chosen};

    const SINCE: Timestamp = Timestamp::from_millis(1);

    /// Timers with these numbers, open.
    fn open(numbers: std::ops::Range<i32>) -> Vec<OpenReason> {
        let reason = Reason::new(ReasonKind::Timer, SINCE);
        let open = |number| OpenReason { number, reason: reason.clone(), idempotency_key: None };
        numbers.map(open).collect()
    }

    fn numbers((chosen, more_count): (Vec<OpenReason>, usize)) -> (Vec<i32>, usize) {
        (chosen.iter().map(|open| open.number).collect(), more_count)
    }

    #[test]
    fn what_the_guest_awaits_is_chosen_of_what_is_open() {
        let event = Awaited::Event { name: "go".to_owned(), since: SINCE };
        let awaited = vec![Awaited::Action(7), event, Awaited::Action(2), Awaited::Action(99)];
        let (chosen, more_count) = chosen(open(0..10), Some(awaited), 10);
        let shown: Vec<_> = chosen.iter().map(|open| (open.number, open.reason.kind)).collect();
        let expected = [(2, ReasonKind::Timer), (7, ReasonKind::Timer), (-1, ReasonKind::Event)];
        assert_eq!((shown.as_slice(), more_count), (expected.as_slice(), 0));
    }

    #[test]
    fn of_very_much_the_first_is_chosen_and_the_rest_counted() {
        assert_eq!(numbers(chosen(open(0..5), None, 3)), (vec![0, 1, 2], 2));
        let awaited = (1..5).map(Awaited::Action).collect();
        assert_eq!(numbers(chosen(open(0..5), Some(awaited), 3)), (vec![1, 2, 3], 1));
    }
}

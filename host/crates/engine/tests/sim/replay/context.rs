//! What scripted orchestrators may ask for.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::task::{Context as PollContext, Poll};

use everstate_types::{Action, EntityId, Failure, FunctionName, InstanceId, Payload, Timestamp};

use super::Context;
use crate::entities::{due_input, ledger, nobody};

/// Something that was asked for.
#[derive(Debug)]
pub(crate) struct Handle {
    context: Context,
    pub(crate) number: i32,
}

/// A lock that was asked for.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Comes when it is held.
    pub(crate) granted: Handle,
    /// In the order in which they are taken.
    pub(crate) entities: Vec<EntityId>,
}

impl Context {
    pub(crate) fn id(&self) -> InstanceId {
        self.0.borrow().id.clone()
    }

    pub(crate) fn rewinds(&self) -> usize {
        self.0.borrow().rewinds
    }

    /// The orchestrator's clock and so many milliseconds more.
    pub(crate) fn after(&self, millis: u64) -> Timestamp {
        Timestamp::from_millis(self.0.borrow().now.as_millis() + millis)
    }

    pub(crate) fn call(&self, number: usize, operation: &str, token: String) -> Handle {
        self.call_entity(self.ledger(number), operation, token)
    }

    pub(crate) fn call_entity(&self, entity: EntityId, operation: &str, token: String) -> Handle {
        let (operation, input) = (operation.to_owned(), Some(Payload::from(token)));
        self.ask(Action::CallEntity { entity, operation, input })
    }

    pub(crate) fn signal(&self, number: usize, token: String) {
        self.signal_entity(self.ledger(number), token, None);
    }

    /// A signal that is due after so many milliseconds.
    pub(crate) fn signal_later(&self, number: usize, token: &str, millis: u64) {
        let due = self.after(millis);
        self.signal_entity(self.ledger(number), due_input(token, due), Some(due));
    }

    /// A signal to an entity that there is not. Nothing is sent.
    pub(crate) fn signal_nobody(&self, token: String) {
        self.signal_entity(nobody(), token, None);
    }

    fn signal_entity(&self, entity: EntityId, token: String, at: Option<Timestamp>) {
        let refusal = (entity == nobody()).then(|| "there is no such entity".to_owned());
        self.tell(Action::SignalEntity {
            entity,
            operation: "append".to_owned(),
            input: Some(Payload::from(token)),
            at,
            refusal,
        });
    }

    /// Asks for exclusive use.
    pub(crate) fn lock(&self, entities: impl IntoIterator<Item = EntityId>) -> Lock {
        let entities = entities.into_iter().collect::<BTreeSet<_>>();
        let entities = entities.into_iter().collect::<Vec<_>>();
        let is_refused = entities.contains(&nobody());
        let refusal = is_refused.then(|| "there is no such entity".to_owned());
        let granted = self.ask(Action::LockEntities { entities: entities.clone(), refusal });
        Lock { granted, entities }
    }

    /// Gives back what a lock still holds, or gives it up.
    pub(crate) fn unlock(&self, lock: &mut Lock) {
        while let Some(entity) = lock.entities.first().cloned() {
            self.unlock_one(lock, &entity);
        }
    }

    /// Gives one entity back.
    pub(crate) fn unlock_one(&self, lock: &mut Lock, entity: &EntityId) {
        lock.entities.retain(|held| held != entity);
        let number = lock.granted.number;
        self.tell(Action::UnlockEntity { lock: number, entity: entity.clone() });
        let mut replay = self.0.borrow_mut();
        if !replay.done.contains_key(&number) {
            replay.cancelled.insert(number);
            let turn = replay.turn;
            replay.given_up.insert(number, turn);
        }
    }

    pub(crate) fn ledger(&self, number: usize) -> EntityId {
        ledger(number % self.0.borrow().ledgers)
    }

    pub(crate) fn ledgers(&self) -> usize {
        self.0.borrow().ledgers
    }

    pub(crate) fn activity(
        &self,
        name: &str,
        input: &str,
        (first_attempt, attempt): (Option<i32>, u32),
    ) -> Handle {
        let (name, input) = (function(name), Payload::from(input));
        let tags = Vec::new();
        self.ask(Action::CallActivity { name, input, tags, first_attempt, attempt })
    }

    pub(crate) fn timer(&self, fire_at: Timestamp) -> Handle {
        self.ask(Action::CreateTimer { fire_at })
    }

    pub(crate) fn child(
        &self,
        name: &str,
        id: &str,
        input: String,
        start_at: Option<Timestamp>,
    ) -> Handle {
        self.ask(Action::CallSubOrchestration {
            name: function(name),
            instance_id: InstanceId::orchestration(id).expect("a valid id"),
            input: Payload::from(input),
            tags: Vec::new(),
            start_at,
        })
    }

    pub(crate) fn start(&self, name: &str, id: &str, input: String) {
        self.tell(Action::StartOrchestration {
            name: function(name),
            instance_id: InstanceId::orchestration(id).expect("a valid id"),
            input: Payload::from(input),
            tags: Vec::new(),
            start_at: None,
        });
    }

    pub(crate) fn send_event(&self, id: &str, name: &str, token: String) {
        self.tell(Action::SendEvent {
            instance_id: InstanceId::orchestration(id).expect("a valid id"),
            name: name.to_owned(),
            input: Payload::from(token),
        });
    }

    /// The oldest event of that name that nobody has taken. A waiter that is dropped takes none.
    pub(crate) async fn event(&self, name: &'static str) -> String {
        std::future::poll_fn(|_| {
            let mut replay = self.0.borrow_mut();
            match replay.events.iter().position(|(raised, _)| raised == name) {
                Some(index) => Poll::Ready(replay.events.remove(index).1.as_str().to_owned()),
                None => {
                    replay.awaits_event = true;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Gives up on a timer.
    pub(crate) fn cancel(&self, timer: i32) {
        let mut replay = self.0.borrow_mut();
        let is_new = replay.is_new;
        if !replay.done.contains_key(&timer) && replay.cancelled.insert(timer) {
            replay.newly_cancelled.extend(is_new.then_some(timer));
        }
    }

    pub(crate) fn set_custom_status(&self, status: &str) {
        let mut replay = self.0.borrow_mut();
        replay.custom_status = Some(Payload::from(status));
        if replay.is_new {
            replay.new_status = Some(Some(Payload::from(status)));
        }
    }

    fn ask(&self, action: Action) -> Handle {
        let number = self.0.borrow_mut().act(action);
        self.0.borrow_mut().awaited.insert(number);
        Handle { context: self.clone(), number }
    }

    fn tell(&self, action: Action) {
        self.0.borrow_mut().act(action);
    }
}

impl Future for Handle {
    type Output = Result<String, Failure>;

    fn poll(self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<Self::Output> {
        match self.context.0.borrow().done.get(&self.number) {
            Some(Ok(result)) => Poll::Ready(Ok(result.as_str().to_owned())),
            Some(Err(failure)) => Poll::Ready(Err(failure.clone())),
            None => Poll::Pending,
        }
    }
}

/// The first of two; the left one if both are ready.
pub(crate) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two.
pub(crate) async fn either<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> Either<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        right.as_mut().poll(context).map(Either::Right)
    })
    .await
}

fn function(name: &str) -> FunctionName {
    FunctionName::new(name).expect("a valid name")
}

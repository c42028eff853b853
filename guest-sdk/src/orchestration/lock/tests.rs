//! When the entities of a lock are released, and what is forbidden until then.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::error::Failure;
use crate::id::EntityId;
use crate::orchestration::{ChildOptions, OrchestrationContext};
use crate::testing::{TestAction, TestHost};

fn account(key: &str) -> EntityId {
    EntityId::new("Account", key).unwrap()
}

/// How often something was locked and unlocked, in order.
fn locks_and_unlocks(host: &TestHost) -> String {
    let letter = |action: &TestAction| match action {
        TestAction::LockEntities(_) => Some('L'),
        TestAction::UnlockEntities => Some('U'),
        _ => None,
    };
    host.actions().iter().filter_map(letter).collect()
}

async fn poll_once(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_ready())).await
}

#[test]
fn lock_is_released_when_it_is_dropped_and_can_be_taken_again() {
    let host = TestHost::new();
    host.run(|context| async move {
        for _ in 0..2 {
            let lock = context.lock_entities(&[account("a"), account("b")]).await.unwrap();
            drop(lock);
        }
        context.lock_entities(&[account("a")]).await.unwrap().unlock().unwrap();
    });
    assert_eq!(locks_and_unlocks(&host), "LULULU");
}

#[test]
fn future_dropped_before_the_grant_gives_the_lock_up() {
    let host = TestHost::new();
    host.run(|context| async move {
        drop(context.lock_entities(&[account("a")]));
        let mut polled = context.lock_entities(&[account("a")]);
        assert!(!poll_once(&mut polled).await);
        drop(polled);
    });
    assert_eq!(locks_and_unlocks(&host), "LULU");
}

#[test]
fn future_dropped_with_a_grant_that_nobody_took_releases_the_lock() {
    let host = TestHost::new();
    host.run(|context| async move {
        let mut lock = context.lock_entities(&[account("a")]);
        assert!(!poll_once(&mut lock).await);
        // The grant arrives while something else is awaited.
        context.sleep(Duration::from_secs(1)).await.unwrap();
        drop(lock);
        context.signal_entity(&account("a"), "free", &()).unwrap();
    });
    assert_eq!(locks_and_unlocks(&host), "LU");
}

#[test]
fn refused_lock_fails_and_releases_nothing() {
    let host = TestHost::new();
    let failure = host.run(|context| async move {
        let _lock = context.lock_entities(&[account("a")]).await.unwrap();
        context.lock_entities(&[account("b")]).await.unwrap_err()
    });
    assert_eq!(failure.error_type, "Conflict");
    assert_eq!(locks_and_unlocks(&host), "LU");
}

/// What is refused with which text, in a section with `a` and `b`.
async fn violations(context: &OrchestrationContext) -> Vec<String> {
    let (a, other) = (account("a"), account("other"));
    let text = |failure: Failure| failure.error_message.clone();
    let mut texts = Vec::new();
    let asked = context.lock_entities(&[a.clone(), account("b")]);
    texts.push(text(context.call_entity::<()>(&a, "get", &()).await.unwrap_err()));
    let lock = asked.await.unwrap();
    texts.push(text(context.lock_entities(std::slice::from_ref(&other)).await.unwrap_err()));
    let options = ChildOptions::default();
    let child = context.call_sub_orchestration::<()>("Child", &(), &options);
    texts.push(text(child.await.unwrap_err()));
    texts.push(text(context.signal_entity(&a, "get", &()).unwrap_err()));
    texts.push(text(context.call_entity::<()>(&other, "get", &()).await.unwrap_err()));
    let pending = context.call_entity::<()>(&a, "get", &());
    texts.push(text(context.call_entity::<()>(&a, "get", &()).await.unwrap_err()));
    pending.await.unwrap();
    context.call_entity::<()>(&a, "get", &()).await.unwrap();
    context.signal_entity(&other, "get", &()).unwrap();
    drop(lock);
    context.signal_entity(&a, "get", &()).unwrap();
    context.call_entity::<()>(&other, "get", &()).await.unwrap();
    texts
}

#[test]
fn broken_rule_of_a_section_is_refused_and_the_orchestrator_goes_on() {
    let host = TestHost::new();
    host.on_entity_operation("Account", "get", |_: &str, (): ()| Ok(()));
    let texts = host.run(|context| async move { violations(&context).await });
    assert_eq!(
        texts,
        [
            "Must await the completion of the lock request prior to calling any entity.",
            "Must not enter another critical section from within a critical section.",
            "While holding locks, cannot call suborchestrators.",
            "Must not signal a locked entity from a critical section.",
            "Must not call an entity from a critical section if it is not one of the locked \
             entities.",
            "Must not call an entity from a critical section while a prior call to the same \
             entity is still pending.",
        ]
    );
}

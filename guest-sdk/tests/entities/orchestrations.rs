//! Orchestrators under test that use entities: their own functions, answers of the test, and those of
//! another component.

use std::time::Duration;

use everstate_sdk::testing::{TestAction, TestHost};
use everstate_sdk::{
    EntityContext, EntityId, Failure, OrchestrationContext, Timestamp, entity, entity_proxy,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Purse {
    coins: i64,
}

#[entity]
impl Purse {
    fn put(&mut self, coins: i64) -> i64 {
        self.coins += coins;
        self.coins
    }

    fn count(&self) -> i64 {
        self.coins
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Metronome {
    ticks: u32,
}

#[entity]
impl Metronome {
    /// Ticks now and every ten seconds after that.
    fn tick(&mut self, context: &mut EntityContext, due: Timestamp) -> Result<(), Failure> {
        self.ticks += 1;
        let next = due + Duration::from_secs(10);
        let itself = Metronome::proxy(context.key())?;
        itself.tick(next).signal_at(context, next)?;
        Purse::proxy("ticks")?.put(1).signal(context)?;
        if self.ticks == 4 { Err(Failure::new("Broken", "the spring")) } else { Ok(()) }
    }
}

/// An entity of another component.
#[entity_proxy(name = "Vault")]
trait VaultOperations {
    fn store(&mut self, context: &mut EntityContext, coins: i64) -> Result<String, Failure>;
    fn is_full(&self) -> bool;
}

async fn transfer(context: &OrchestrationContext, coins: i64) -> Result<bool, Failure> {
    let (from, to) = (Purse::proxy("from")?, Purse::proxy("to")?);
    let both = [from.entity_id().clone(), to.entity_id().clone()];
    let _lock = context.lock_entities(&both).await?;
    if from.count().call(context).await? < coins {
        return Ok(false);
    }
    from.put(-coins).call(context).await?;
    to.put(coins).call(&context).await?;
    Ok(true)
}

#[test]
fn locked_entities_of_the_component_are_called_for_real() {
    let host = TestHost::new();
    host.run_entity("Purse");
    host.entity("Purse", "from").set_state(&Purse { coins: 10 }, 0);
    assert!(host.run(|context| async move { transfer(&context, 7).await }).unwrap());
    assert!(!host.run(|context| async move { transfer(&context, 7).await }).unwrap());
    let coins = |key: &str| host.entity("Purse", key).state::<Purse>().unwrap().coins;
    assert_eq!((coins("from"), coins("to")), (3, 7));
    let unlocks = host.actions().iter().filter(|each| **each == TestAction::UnlockEntities).count();
    assert_eq!(unlocks, 2);
}

#[test]
fn answer_of_the_test_goes_before_the_entity_itself() {
    let host = TestHost::new();
    host.run_entity("Purse");
    host.on_entity_operation("Purse", "Count", |key: &str, (): ()| Ok(key.len()));
    let counted = host.run(|context| async move {
        let purse = Purse::proxy("four")?;
        purse.put(1).call(&context).await?;
        purse.count().call(&context).await
    });
    assert_eq!(counted.unwrap(), 4);
}

#[test]
fn entity_that_signals_itself_goes_on_while_time_passes() {
    let host = TestHost::new();
    host.run_entity("Metronome");
    host.run_entity("Purse");
    let begin = host.now();
    Metronome::proxy("m").unwrap().tick(begin).call(&host).unwrap();
    host.advance(Duration::from_secs(25));
    let ticks = host.entity("Metronome", "m").state::<Metronome>().unwrap().ticks;
    let coins = host.entity("Purse", "ticks").state::<Purse>().unwrap().coins;
    assert_eq!((ticks, coins, host.now() - begin), (3, 3, Duration::from_secs(25)));
    host.advance(Duration::from_secs(60));
    let ticks = host.entity("Metronome", "m").state::<Metronome>().unwrap().ticks;
    assert_eq!(ticks, 3);
    assert!(host.log_lines()[0].1.contains("Broken: the spring"), "{:?}", host.log_lines());
}

#[test]
fn signal_for_later_is_done_when_the_orchestrator_lets_time_pass() {
    let host = TestHost::new();
    host.run_entity("Purse");
    let counts = host.run(|context| async move {
        let purse = Purse::proxy("a")?;
        let later = context.current_time() + Duration::from_secs(5);
        purse.put(1).signal_at(&context, later)?;
        purse.put(10).signal(&context)?;
        let before = purse.count().call(&context).await?;
        context.sleep(Duration::from_secs(6)).await?;
        Ok::<_, Failure>((before, purse.count().call(&context).await?))
    });
    assert_eq!(counts.unwrap(), (10, 11));
}

#[test]
fn proxy_of_another_component_asks_as_that_one_expects() {
    let host = TestHost::new();
    host.on_entity_operation("Vault", "store", |key: &str, coins: i64| Ok(format!("{key}{coins}")));
    host.on_entity_operation("Vault", "is_full", |_: &str, (): ()| Ok(true));
    let seen = host.run(|context| async move {
        let vault = VaultOperationsProxy::new("v")?;
        vault.delete().signal(&context)?;
        let stored = vault.store(3).call(&context).await?;
        Ok::<_, Failure>((stored, vault.is_full().call(&context).await?))
    });
    assert_eq!(seen.unwrap(), ("v3".to_owned(), true));
    let delete = TestAction::SignalEntity {
        entity: EntityId::new("Vault", "v").unwrap(),
        operation: "delete".to_owned(),
        input: None,
        at: None,
    };
    assert_eq!(host.actions()[0], delete);
}

#[test]
fn entity_that_the_test_does_not_run_fails_as_one_that_does_not_exist() {
    let host = TestHost::new();
    let failure = host
        .run(|context| async move { Purse::proxy("a")?.count().call(&context).await })
        .unwrap_err();
    assert_eq!(failure.error_type, "FunctionNotFound");
}

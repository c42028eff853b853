//! An `impl` block: which method is run, with what, and what is written afterwards.

use std::time::Duration;

use everstate_sdk::testing::{TestAction, TestEntity, TestHost};
use everstate_sdk::{EntityContext, EntityId, Failure, Timestamp, entity};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    owner: Option<String>,
    cents: i64,
    city: String,
}

#[entity(name = "Bank.Account", indexes("owner", "city", "absent"))]
impl Account {
    /// Not an operation, and allowed.
    const LIMIT: i64 = 1_000;

    fn deposit(&mut self, cents: i64) -> Result<i64, Failure> {
        self.cents += cents;
        if self.cents > Self::LIMIT {
            return Err(Failure::new("TooMuch", "there is no room for that"));
        }
        Ok(self.cents)
    }

    fn open(&mut self, owner: &str) {
        self.owner = Some(owner.to_owned());
    }

    fn close(&mut self, reason: Option<String>) -> Option<String> {
        self.owner = None;
        reason
    }

    fn replace(&mut self, by: Self) -> Self {
        std::mem::replace(self, by)
    }

    fn add_all(&mut self, sums: &[i64]) -> usize {
        self.cents += sums.iter().sum::<i64>();
        sums.len()
    }

    fn touch(&mut self) {}

    fn balance(&self) -> i64 {
        self.cents
    }

    fn owner(&self) -> Option<&String> {
        self.owner.as_ref()
    }

    fn city(&self, context: &EntityContext) -> String {
        format!("{} of {}", self.city, context.key())
    }

    fn pay(&mut self, context: &mut EntityContext, payment: (String, i64)) -> Result<(), Failure> {
        let (to, cents) = payment;
        self.cents -= cents;
        let to = Account::proxy(&to)?;
        to.deposit(cents).signal(context)?;
        to.open("payee").signal_at(context, Timestamp::from_unix_ms(7))?;
        if self.cents < 0 { Err(Failure::new("TooLittle", "no")) } else { Ok(()) }
    }

    /// `&self`, but it may send: so it is no read-only operation.
    fn remind(&self, context: &mut EntityContext) -> Result<String, Failure> {
        context.start_orchestration("Reminder", &self.cents, Some("reminder"))
    }

    fn end(&mut self, context: &mut EntityContext) {
        self.cents = 5;
        context.delete_state();
    }

    fn overwrite(&mut self, context: &mut EntityContext) -> Result<(), Failure> {
        self.cents = 5;
        context.set_state(&Account { cents: 6, ..Account::default() })
    }

    fn keep(&mut self, context: &mut EntityContext, seconds: Option<u64>) {
        context.set_time_to_live(seconds.map(Duration::from_secs));
    }

    fn position(&self, context: &EntityContext) -> (u32, u32) {
        (context.batch_position(), context.batch_size())
    }

    fn cheat(&self, context: &EntityContext) -> Result<(), Failure> {
        Account::proxy("other")?.touch().signal(context)
    }
}

fn account() -> TestEntity {
    TestEntity::new("Bank.Account", "a")
}

#[test]
fn new_entity_begins_with_the_default_and_is_written() {
    let account = account();
    assert_eq!(account.call::<i64>("deposit", &5).unwrap(), 5);
    assert_eq!(account.state::<Account>(), Some(Account { cents: 5, ..Account::default() }));
}

#[test]
fn method_that_may_change_the_state_creates_the_entity_even_if_it_does_not() {
    let account = account();
    account.call::<()>("touch", &()).unwrap();
    assert_eq!(account.state::<Account>(), Some(Account::default()));
}

#[test]
fn reading_sees_the_default_and_never_creates() {
    let account = account();
    assert_eq!(account.call::<i64>("balance", &()).unwrap(), 0);
    account.call::<String>("remind", &()).unwrap();
    assert_eq!(account.state_json(), None);
}

#[test]
fn case_of_an_operation_does_not_matter() {
    let account = account();
    assert_eq!(account.call::<i64>("DEPOSIT", &5).unwrap(), 5);
    account.call::<()>("Delete", &()).unwrap();
    assert_eq!(account.state_json(), None);
}

#[test]
fn state_is_written_only_if_it_has_changed() {
    let account = account();
    // The same value, written otherwise than the SDK writes it.
    account.set_state(&json!({ "cents": 1, "city": "x", "owner": null, "more": true }), 0);
    account.call::<i64>("balance", &()).unwrap();
    assert!(account.state_json().unwrap().contains("more"));
    account.call::<i64>("deposit", &1).unwrap();
    assert_eq!(account.state_json().unwrap(), r#"{"owner":null,"cents":2,"city":"x"}"#);
}

#[test]
fn failed_operation_changes_and_sends_nothing() {
    let account = account();
    account.call::<i64>("deposit", &5).unwrap();
    let failure = account.call::<i64>("deposit", &2_000).unwrap_err();
    assert_eq!(failure.error_type, "TooMuch");
    account.call::<()>("pay", &("b", 9)).unwrap_err();
    assert_eq!(account.state::<Account>().unwrap().cents, 5);
    assert_eq!(account.sent(), []);
}

#[test]
fn signals_and_starts_of_an_operation_are_seen() {
    let account = account();
    account.call::<i64>("deposit", &5).unwrap();
    account.call::<()>("pay", &("b", 5)).unwrap();
    account.call::<String>("remind", &()).unwrap();
    let entity = EntityId::new("Bank.Account", "b").unwrap();
    let signal = |operation: &str, input: &str, at| TestAction::SignalEntity {
        entity: entity.clone(),
        operation: operation.to_owned(),
        input: Some(input.to_owned()),
        at,
    };
    let start = TestAction::StartOrchestration {
        name: "Reminder".to_owned(),
        input: "0".to_owned(),
        instance_id: "reminder".to_owned(),
    };
    let at = Some(Timestamp::from_unix_ms(7));
    assert_eq!(
        account.sent(),
        [signal("deposit", "5", None), signal("open", "\"payee\"", at), start]
    );
}

#[test]
fn method_that_settles_the_state_itself_has_the_last_word() {
    let account = account();
    account.call::<()>("overwrite", &()).unwrap();
    assert_eq!(account.state::<Account>().unwrap().cents, 6);
    account.call::<()>("end", &()).unwrap();
    assert_eq!(account.state_json(), None);
}

#[test]
fn inputs_and_results_of_many_types_go_through() {
    let account = account();
    account.call::<()>("open", "Ada").unwrap();
    assert_eq!(account.call::<String>("owner", &()).unwrap(), "Ada");
    assert_eq!(account.call::<usize>("add_all", &[1, 2, 3]).unwrap(), 3);
    let before: Account = account.call("replace", &Account::default()).unwrap();
    assert_eq!((before.owner.as_deref(), before.cents), (Some("Ada"), 6));
    assert_eq!(account.call::<String>("city", &()).unwrap(), " of a");
    assert_eq!(account.call::<Option<String>>("close", &()).unwrap(), None);
    assert_eq!(account.in_batch(3, 9).call::<(u32, u32)>("position", &()).unwrap(), (3, 9));
}

#[test]
fn input_that_is_missing_or_wrong_is_named() {
    let account = account();
    for (input, text) in [
        (Value::Null, "the operation `deposit` needs an input, and none was given"),
        (json!("five"), "the input of the operation `deposit` does not have the expected shape: "),
    ] {
        let failure = account.call::<i64>("deposit", &input).unwrap_err();
        assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("InvalidInput", true));
        assert!(failure.error_message.starts_with(text), "{failure}");
    }
    assert_eq!(account.state_json(), None);
}

#[test]
fn operation_that_nobody_knows_is_named() {
    let failure = account().call::<()>("withdraw", &()).unwrap_err();
    assert_eq!(failure.error_type, "UnknownOperation");
    assert_eq!(failure.error_message, "No operation named 'withdraw' was found.");
}

#[test]
fn state_that_cannot_be_read_fails_each_operation_but_can_be_deleted() {
    let account = account();
    account.set_state("not an account", 0);
    for operation in ["balance", "touch"] {
        let failure = account.call::<Value>(operation, &()).unwrap_err();
        assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("InvalidState", true));
        let text = "the state of the entity @bank.account@a does not have the expected shape: ";
        assert!(failure.error_message.starts_with(text), "{failure}");
    }
    assert_eq!(account.state::<String>().unwrap(), "not an account");
    account.call::<()>("delete", &()).unwrap();
    assert_eq!(account.call::<i64>("balance", &()).unwrap(), 0);
}

#[test]
fn declared_fields_are_written_with_the_state_and_gone_with_it() {
    let account = account();
    account.call::<()>("open", "Ada").unwrap();
    let field = |name: &str, json: &str| (name.to_owned(), json.to_owned());
    assert_eq!(account.indexes(), [field("owner", "\"Ada\""), field("city", "\"\"")]);
    account.call::<()>("close", &()).unwrap();
    assert_eq!(account.indexes(), [field("city", "\"\"")]);
    account.call::<()>("delete", &()).unwrap();
    assert_eq!(account.indexes(), []);
}

#[test]
fn field_that_is_too_long_to_be_found_by_fails_the_operation() {
    let account = account();
    account.call::<()>("open", &"a".repeat(1_022)).unwrap();
    let failure = account.call::<()>("open", &"b".repeat(1_023)).unwrap_err();
    assert_eq!(failure.error_type, "LimitExceeded");
    assert!(account.state::<Account>().unwrap().owner.unwrap().starts_with('a'));
}

#[test]
fn time_to_live_is_kept_from_the_operation_that_creates_and_gone_with_the_state() {
    let account = account();
    account.call::<()>("keep", &60).unwrap();
    assert_eq!(account.time_to_live(), Some(Duration::from_secs(60)));
    account.call::<i64>("deposit", &1).unwrap();
    assert_eq!(account.time_to_live(), Some(Duration::from_secs(60)));
    account.call::<()>("keep", &u64::MAX).unwrap();
    assert_eq!(account.time_to_live(), Some(Duration::MAX));
    account.call::<()>("keep", &()).unwrap();
    assert_eq!(account.time_to_live(), None);
    account.call::<()>("keep", &60).unwrap();
    account.call::<()>("delete", &()).unwrap();
    assert_eq!(account.time_to_live(), None);
}

#[test]
fn read_only_operation_that_sends_is_refused() {
    let failure = account().call::<()>("cheat", &()).unwrap_err();
    assert_eq!(failure.error_type, "NotSupported");
    assert_eq!(
        failure.error_message,
        "the operation `cheat` of `bank.account` is declared as read-only, it must not use \
         `signal-entity`"
    );
}

#[test]
fn proxy_writes_down_what_is_to_be_asked() {
    let host = TestHost::new();
    let proxy = Account::proxy("b").unwrap();
    assert_eq!(proxy.entity_id().to_string(), "@bank.account@b");
    assert_eq!(proxy.deposit(3).call(&host).unwrap(), 3);
    proxy.open("Ada").call(&host).unwrap();
    assert_eq!(proxy.owner().call(&host).unwrap().as_deref(), Some("Ada"));
    proxy.delete().call(&host).unwrap();
    assert_eq!(host.entity("bank.account", "b").state_json(), None);
    assert!(Account::proxy("a\nb").is_err());
}

/// A state that can be read and not be written.
#[derive(Debug, Default, Deserialize)]
struct Faulty(bool);

impl Serialize for Faulty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            return Err(serde::ser::Error::custom("it is broken"));
        }
        serializer.serialize_bool(self.0)
    }
}

#[entity]
impl Faulty {
    fn break_it(&mut self) {
        self.0 = true;
    }

    fn touch(&mut self) {}

    fn delete(&mut self) -> &str {
        "not by me"
    }
}

#[test]
fn state_that_cannot_be_written_fails_the_operation_and_leaves_the_one_before() {
    let faulty = TestEntity::new("Faulty", "a");
    let failure = faulty.call::<()>("break_it", &()).unwrap_err();
    assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("InvalidState", true));
    assert!(failure.error_message.contains("@faulty@a"), "{failure}");
    assert!(failure.error_message.contains("it is broken"), "{failure}");
    assert_eq!(faulty.state_json(), None);
    faulty.call::<()>("touch", &()).unwrap();
    faulty.call::<()>("break_it", &()).unwrap_err();
    assert_eq!(faulty.state::<bool>(), Some(false));
}

#[test]
fn delete_of_the_author_replaces_the_built_in_one() {
    let host = TestHost::new();
    Faulty::proxy("a").unwrap().touch().call(&host).unwrap();
    assert_eq!(Faulty::proxy("a").unwrap().delete().call(&host).unwrap(), "not by me");
    assert_eq!(host.entity("Faulty", "a").state::<bool>(), Some(false));
}

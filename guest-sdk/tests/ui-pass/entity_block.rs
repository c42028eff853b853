//! Every form of operation that an `impl` block may have, in a module and with private types, without
//! a warning.
#![deny(warnings)]

mod inner {
    use everstate_sdk::{EntityContext, Failure, entity, entity_proxy};
    use serde::{Deserialize, Serialize};
    use serde_json::Value;

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct State {
        value: i64,
    }

    #[derive(Serialize, Deserialize)]
    struct Amount {
        value: i64,
    }

    type OtherResult<E> = Result<u8, E>;

    #[entity(
        name = "Kept.Elsewhere-1",
        time_to_live_s = 60,
        indexes("value"),
        version = 2,
        upgrade = self::upgrade,
    )]
    impl State {
        const STEP: i64 = 2;

        /// Has a comment.
        fn plain(self: &mut Self) {}

        fn Named(&mut self, amount: Amount) -> Amount {
            self.value += amount.value * Self::STEP;
            amount
        }

        fn r#type(&self, (a, b): (i64, i64)) -> i64 {
            a + b
        }

        fn slice(&self, context: &EntityContext, _: &[u8]) -> &str {
            context.info("sliced");
            "slice"
        }

        fn text(&mut self, context: &mut EntityContext, mut text: &str) -> std::io::Result<()> {
            while let Some(rest) = text.strip_prefix('x') {
                text = rest;
            }
            context.info(text);
            Ok(())
        }

        fn itself(&mut self, other: Option<Self>) -> Result<Vec<Self>, Failure> {
            Ok(other.into_iter().collect())
        }

        fn aliased(self: &Self) -> OtherResult<Failure> {
            Ok(u8::try_from(self.value)?)
        }

        #[cfg(target_os = "none")]
        fn chosen(&self, missing: Missing) {}

        #[cfg(not(target_os = "none"))]
        fn chosen(&self) {}
    }

    fn upgrade(_: u32, state: Value) -> Result<Value, Failure> {
        Ok(state)
    }

    #[entity_proxy(name = "Elsewhere")]
    trait Elsewhere {
        /// Has a comment.
        fn get(&self, key: &str) -> Option<String>;
        fn put(&mut self, context: &mut EntityContext, value: Amount) -> Result<(), Failure>;
    }

    pub fn use_it() -> Result<(), Failure> {
        let _ = State::proxy("a")?.text("text");
        let _ = ElsewhereProxy::new("b")?.get("key");
        Ok(())
    }
}

fn main() {
    inner::use_it().unwrap();
}

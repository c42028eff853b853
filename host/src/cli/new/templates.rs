//! What a new project can begin with: guests of this repository, with a few tests.

/// A guest to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Template {
    /// A key-value database out of an entity, two orchestrators and an HTTP function
    Database,
    /// Activities in sequence, in a chain, side by side
    Hello,
}

const DATABASE_TESTS: &str = r#"
#[cfg(test)]
mod tests {
    use everstate_sdk::testing::{TestEntity, TestHost};

    use super::*;

    #[test]
    fn register_keeps_what_was_set() {
        let register = TestEntity::new("Register", "1");
        assert_eq!(register.call::<Option<String>>("get", &()).unwrap(), None);
        register.call::<Option<String>>("set", "my-value").unwrap();
        assert_eq!(register.state::<String>().unwrap(), "my-value");
    }

    #[test]
    fn written_value_comes_back_from_the_register() {
        let host = TestHost::new();
        host.run_entity("Register");
        let write = WriteOperation { key: "1".to_owned(), value: "my-value".to_owned() };
        let written = host.run(|context| Database_PUT_Orchestrator(context, write));
        assert_eq!(written.unwrap(), "my-value");
        let read = host.run(|context| Database_GET_Orchestrator(context, "1".to_owned()));
        assert_eq!(read.unwrap().unwrap(), "my-value");
    }
}
"#;

const HELLO_TESTS: &str = r#"
#[cfg(test)]
mod tests {
    use everstate_sdk::testing::TestHost;

    use super::*;

    #[test]
    fn five_cities_are_greeted_in_order() {
        let host = TestHost::new();
        host.on_activity("SayHello", |city: String| Ok(format!("Hello, {city}!")));
        let greetings = host.run(Hello5).unwrap();
        assert_eq!((greetings.len(), greetings[0].as_str()), (5, "Hello, Tokyo!"));
    }
}
"#;

impl Template {
    /// As it is named on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Hello => "hello",
        }
    }

    /// The manifest of the guest.
    pub(super) fn manifest(self) -> &'static str {
        match self {
            Self::Database => include_str!("../../../../guests/database/Cargo.toml"),
            Self::Hello => include_str!("../../../../guests/hello/Cargo.toml"),
        }
    }

    /// The source of the guest and tests of it.
    pub(super) fn source(self) -> String {
        let (source, tests) = match self {
            Self::Database => {
                (include_str!("../../../../guests/database/src/lib.rs"), DATABASE_TESTS)
            }
            Self::Hello => (include_str!("../../../../guests/hello/src/lib.rs"), HELLO_TESTS),
        };
        format!("{source}{tests}")
    }

    /// Something to try when it is deployed.
    pub(super) fn first_request(self) -> &'static str {
        match self {
            Self::Database => "curl -X PUT -d my-value http://localhost:7071/Database/1",
            Self::Hello => "curl -X POST -d '\"Ada\"' http://localhost:7071/Hello/HelloActivity",
        }
    }

    /// What somebody has to know who finds the project.
    pub(super) fn readme(self, name: &str) -> String {
        let request = self.first_request();
        let component = name.replace('-', "_");
        format!(
            "# {name}

Durable functions for Everstate. They are in [`src/lib.rs`](src/lib.rs); `sdk` is the SDK they are
written with, as the `everstate` binary brought it.

Start a host in this folder, in a terminal of its own:

```
everstate run
```

Then three commands:

```
everstate build
everstate deploy
{request}
```

`build` makes the component `{component}.wasm`, `deploy` builds too and gives it to the host. Change
something and deploy again: what runs goes on with the code that it began with, what starts takes the
new one.

Further:

```
cargo test                     # the functions without a host
everstate functions            # what the host serves
everstate instances list       # the orchestrations
everstate deploy --check       # only if all live orchestrations fit the new code
everstate doctor               # what is wrong with this set-up, if something is
```

With another version of `everstate`, `everstate sdk` replaces the folder `sdk` by the one that it brings.
"
        )
    }
}

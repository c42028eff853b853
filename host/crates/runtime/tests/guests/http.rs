//! HTTP functions that answer by themselves; those that use the engine are tested end to end.

use bytes::Bytes;
use everstate_engine::guest::{FoundFunction, HttpFunctionError, HttpFunctions, HttpRequest};
use everstate_engine::storage::CommitSeq;
use everstate_types::{ComponentHash, FunctionName};

use crate::Fixture;

fn name(name: &str) -> FunctionName {
    FunctionName::new(name).expect("a valid name")
}

pub(crate) fn request(route_values: &[(&str, &str)]) -> HttpRequest {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    HttpRequest {
        method: "POST".to_owned(),
        url: "http://localhost:7071/".to_owned(),
        base_url: "http://localhost:7071".to_owned(),
        route_values: route_values.iter().map(owned).collect(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Bytes::new(),
        trace: None,
    }
}

fn misbehave(how: &str) -> HttpRequest {
    request(&[("place", "http"), ("how", how)])
}

#[tokio::test]
async fn function_answers_and_has_seen_nothing() {
    let fixture = Fixture::with_guests(&["rival"]).await;
    let answer = fixture.runtime.handle(fixture.http("rival_httpstart"), request(&[])).await;
    let answer = answer.expect("it answers");
    assert_eq!((answer.response.status, &answer.response.body[..]), (200, b"rival".as_slice()));
    assert_eq!(answer.seq, CommitSeq::default());
}

#[tokio::test]
async fn function_that_is_not_published_is_not_found() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let component = ComponentHash([0; 32]);
    let absent = FoundFunction { name: name("Rival_HttpStart"), component };
    let answer = fixture.runtime.handle(absent, request(&[])).await;
    assert_eq!(answer.err(), Some(HttpFunctionError::NotFound(name("Rival_HttpStart"))));
}

/// The disk is at fault then, and nobody must conclude that there is no such function.
#[tokio::test]
async fn function_whose_code_cannot_be_read_fails() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let component = ComponentHash([1; 32]);
    let kept = fixture.data.path().join("components").join(format!("{component}.wasm"));
    std::fs::create_dir_all(kept).expect("a folder where the file should be");
    let function = FoundFunction { name: name("Rival_HttpStart"), component };
    let answer = fixture.runtime.handle(function, request(&[])).await;
    let Err(HttpFunctionError::Failed { failure, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(failure.error_type, "HostError");
}

#[tokio::test]
async fn misbehaving_function_fails_and_the_next_request_is_answered() {
    let fixture = Fixture::with_guests(&["misbehaving"]).await;
    for (how, error_type) in
        [("trap", "GuestTrapped"), ("loop", "CpuTimeExceeded"), ("allocate", "MemoryLimitExceeded")]
    {
        let answer =
            fixture.runtime.handle(fixture.http("Misbehave_HttpStart"), misbehave(how)).await;
        let Err(HttpFunctionError::Failed { failure, .. }) = answer else {
            panic!("{how}: {answer:?}");
        };
        assert_eq!(failure.error_type, error_type, "{how}");
        let answer =
            fixture.runtime.handle(fixture.http("Misbehave_HttpStart"), misbehave("behave")).await;
        assert_eq!(answer.expect("it answers").response.status, 200);
    }
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_while_the_others_run() {
    let fixture = Fixture::with_guests(&["misbehaving"]).await;
    let requests = (0..5).map(|_| {
        let handled =
            fixture.runtime.handle(fixture.http("Misbehave_HttpStart"), misbehave("loop"));
        tokio::spawn(handled)
    });
    let requests: Vec<_> = requests.collect();
    let mut overloaded = 0;
    for request in requests {
        match request.await.expect("no panic") {
            Err(HttpFunctionError::Overloaded) => overloaded += 1,
            Err(HttpFunctionError::Failed { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(overloaded, 1);
}

//! How errors become failures, and what a failure tells of its causes.

use super::*;

#[test]
fn any_error_becomes_a_failure_named_after_its_type() {
    let failure = Failure::from("x".parse::<u32>().unwrap_err());
    assert_eq!(failure.error_type, "ParseIntError");
    assert_eq!(failure.error_message, "invalid digit found in string");
    assert!(!failure.is_non_retriable);
}

#[test]
fn refusal_keeps_its_class_and_only_limits_are_retriable() {
    let missing = Failure::from(HostError::NotFound("no such function".to_owned()));
    assert_eq!((missing.error_type.as_str(), missing.is_non_retriable), ("NotFound", true));
    let busy = Failure::from(HostError::Busy("queue".to_owned()));
    assert_eq!((busy.error_type.as_str(), busy.is_non_retriable), ("Busy", false));
}

#[test]
fn failure_keeps_everything_on_its_way_through_the_contract() {
    let mut failure = Failure::new("Outer", "it broke").non_retriable();
    failure.properties.push(("code".to_owned(), "7".to_owned()));
    failure.inner_failures.push(InnerFailure {
        error_type: "Inner".to_owned(),
        error_message: "because of this".to_owned(),
        stack_trace: Some("here".to_owned()),
    });
    assert_eq!(failure_from_wit(failure_to_wit(failure.clone())), failure);
}

#[test]
fn causes_are_found_along_the_whole_chain() {
    let failure = Failure::new("Outer", "order 7 failed")
        .with_cause(Failure::new("Middle", "no money").with_cause("x".parse::<u32>().unwrap_err()));
    let cause = failure.cause().unwrap();
    assert_eq!((cause.error_type.as_str(), cause.inner_failures.len()), ("Middle", 1));
    assert_eq!(cause.cause().unwrap().error_type, "ParseIntError");
    assert_eq!(cause.cause().unwrap().cause(), None);
    assert!(failure.is_caused_by("Outer") && failure.is_caused_by("ParseIntError"));
    assert!(!failure.is_caused_by("Other"));
}

#[test]
fn properties_are_json_values() {
    let failure = Failure::new("A", "b").with_property("text", "x").with_property("n", &7);
    assert_eq!(failure.properties[0].1, "\"x\"");
    assert_eq!(failure.property::<u32>("n"), Some(7));
    assert_eq!(failure.property::<u32>("text"), None);
    assert_eq!(failure.property::<u32>("other"), None);
}

#[test]
fn cause_of_a_failed_activity_says_whether_trying_again_can_help() {
    let mut outer = Failure::new("ActivityFailed", "…").non_retriable();
    outer = outer.with_property("n", &7).with_cause(Failure::new("Inner", "no"));
    let expected = Failure::new("Inner", "no").with_property("n", &7).non_retriable();
    assert_eq!(outer.clone().unwrapped(), expected);
    assert_eq!(outer.cause().unwrap(), expected);
    let plain = Failure::new("Outer", "…").non_retriable().with_cause(Failure::new("I", "no"));
    assert!(!plain.cause().unwrap().is_non_retriable);
    assert_eq!(plain.clone().unwrapped(), plain);
}

//! What a lane makes of messages before they reach a partition.

use std::sync::Arc;

use everstate_types::{
    ComponentHash, ExecutionId, ExecutionStart, Failure, FunctionKind, FunctionName, InstanceId,
    Message, MessageBody, Payload, RequestId,
};

use super::resolve_component;
use crate::guest::{
    ActivityWorkItem, Awaited, EntityOptions, EntityOutcome, EntityWorkItem, FoundFunction,
    GuestExecutor, GuestFuture, OrchestrationOutcome, OrchestrationWorkItem,
};

const NEWEST: ComponentHash = ComponentHash([1; 32]);

/// Has one function and runs nothing.
struct Greeter;

impl GuestExecutor for Greeter {
    fn find(&self, _kind: FunctionKind, name: &str) -> Option<FoundFunction> {
        let is_it = name.eq_ignore_ascii_case("Greeter");
        is_it.then(|| FoundFunction { name: function("Greeter"), component: NEWEST })
    }

    fn run_orchestration(&self, _item: OrchestrationWorkItem) -> GuestFuture<OrchestrationOutcome> {
        Box::pin(std::future::pending())
    }

    fn run_entity(&self, _item: EntityWorkItem) -> GuestFuture<EntityOutcome> {
        Box::pin(std::future::pending())
    }

    fn entity_options(&self, _name: &str) -> Option<Arc<EntityOptions>> {
        None
    }

    fn run_activity(&self, _item: ActivityWorkItem) -> GuestFuture<Result<Payload, Failure>> {
        Box::pin(std::future::pending())
    }

    fn awaited(&self, _item: OrchestrationWorkItem) -> GuestFuture<Option<Vec<Awaited>>> {
        Box::pin(std::future::pending())
    }

    fn is_activity_running(&self, _idempotency_key: RequestId) -> bool {
        false
    }

    fn forget(&self, _instance_id: &InstanceId) {}
}

fn function(name: &str) -> FunctionName {
    FunctionName::new(name).expect("a valid name")
}

/// What a start that an instance has sent is when it arrives.
fn arrived(name: &str) -> (String, Option<ComponentHash>) {
    let start = ExecutionStart {
        name: function(name),
        execution_id: ExecutionId::new(RequestId::nil()),
        component: None,
        input: Payload::null(),
        tags: Vec::new(),
        parent: None,
        start_at: None,
        events: Vec::new(),
        is_recorded: false,
        trace: None,
    };
    let target = InstanceId::orchestration("child").expect("a valid id");
    let body = MessageBody::StartOrchestration(Box::new(start));
    let mut message = Message { target, body };
    resolve_component(&Greeter, &mut message);
    let MessageBody::StartOrchestration(start) = message.body else {
        unreachable!("it is what it was");
    };
    (start.name.to_string(), start.component)
}

#[test]
fn start_by_an_instance_gets_the_newest_code_and_the_name_as_its_author_wrote_it() {
    assert_eq!(arrived("gREETER"), ("Greeter".to_owned(), Some(NEWEST)));
    assert_eq!(arrived("Nobody"), ("Nobody".to_owned(), None));
}

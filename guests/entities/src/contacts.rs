//! An entity of another component, `Contact` of `guests/entity-one`, through a typed proxy.

use everstate_sdk::{Failure, OrchestrationContext, entity_proxy, orchestrator};

/// What is known of it here.
#[entity_proxy(name = "Contact")]
trait ContactOperations {
    fn set(&self, name: &str);
    fn get(&self) -> String;
}

/// Signals a contact a name, and gives how it is shown then.
#[orchestrator]
async fn Rename(
    context: OrchestrationContext,
    (key, name): (String, String),
) -> Result<String, Failure> {
    let contact = ContactOperationsProxy::new(&key)?;
    contact.set(&name).signal(&context)?;
    contact.get().call(&context).await
}

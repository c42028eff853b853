use everstate_sdk::entity_proxy;

#[entity_proxy]
trait CounterOperations {
    fn add(&mut self, amount: i64) -> i64;
}

fn main() {}

use everstate_sdk::entity_proxy;

#[entity_proxy(name = "Counter")]
struct Counter(i64);

#[entity_proxy(name = "Counter", version = 2)]
trait CounterOperations {
    fn add(&mut self, amount: i64) -> i64;
}

fn main() {}

use everstate_sdk::{ActivityContext, activity};

#[activity]
fn Say<T>(_: ActivityContext, _: T) -> String {
    String::new()
}

fn main() {}

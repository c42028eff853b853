use everstate_sdk::{ActivityContext, activity};

struct Speaker;

impl Speaker {
    #[activity]
    fn Say(&self, _: ActivityContext) -> String {
        String::new()
    }
}

fn main() {}

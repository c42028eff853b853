use everstate_sdk::entity;

struct Register<T>(T);

#[entity]
impl<T> Register<T> {
    fn get(&self) {}
}

#[entity]
impl Clone for Register<u8> {
    fn clone(&self) -> Self {
        Register(self.0)
    }
}

#[entity]
impl Register<u32> {
    fn get_number(&self) {}
}

fn main() {}

use everstate_sdk::{HttpError, HttpRequest, http_trigger};

#[http_trigger(route = "Hello")]
fn Hello(_: HttpRequest) -> Result<String, HttpError> {
    Ok("hello".to_owned())
}

fn main() {}

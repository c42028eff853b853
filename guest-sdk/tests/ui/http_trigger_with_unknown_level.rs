use everstate_sdk::{HttpRequest, HttpResponse, http_trigger};

#[http_trigger(route = "Hello", auth = "Function")]
fn Hello(_: HttpRequest) -> HttpResponse {
    HttpResponse::text("hello")
}

fn main() {}

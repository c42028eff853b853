use everstate_sdk::{HttpRequest, HttpResponse, http_trigger};

#[http_trigger(methods = ["GET"])]
fn Hello(_: HttpRequest) -> HttpResponse {
    HttpResponse::text("hello")
}

fn main() {}

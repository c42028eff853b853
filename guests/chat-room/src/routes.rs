//! The HTTP functions.

use everstate_sdk::{
    ClientError, DurableClient, EntityFilter, EntityQuery, HttpError, HttpRequest, HttpResponse,
    http_trigger,
};
use serde::Deserialize;

use crate::member::Member;
use crate::room::Room;

/// Who comes or goes.
#[derive(Deserialize)]
struct Visitor {
    member: String,
}

/// What a room is about.
#[derive(Deserialize)]
struct Description {
    topic: Option<String>,
}

#[http_trigger(route = "Chat/{room}/join", methods = ["POST"])]
fn Chat_Join(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let visitor: Visitor = request.json()?;
    Room::proxy(room(&request))?.join(visitor.member).call(&client)?;
    Ok(HttpResponse::new(204))
}

#[http_trigger(route = "Chat/{room}/leave", methods = ["POST"])]
fn Chat_Leave(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let visitor: Visitor = request.json()?;
    Room::proxy(room(&request))?.leave(visitor.member).call(&client)?;
    Ok(HttpResponse::new(204))
}

/// A failure that the caller can do something about becomes a response that says so.
#[http_trigger(route = "Chat/{room}/say", methods = ["POST"])]
fn Chat_Say(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    match Room::proxy(room(&request))?.say(request.json()?).call(&client) {
        Ok(()) => Ok(HttpResponse::new(204)),
        Err(ClientError::Failed(failure)) if failure.error_type == "NotAMember" => {
            Err(HttpError::new(403, failure.error_message.clone()))
        }
        Err(other) => Err(other.into()),
    }
}

#[http_trigger(route = "Chat/{room}", methods = ["GET", "PUT", "DELETE"])]
fn Chat_Room(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let room = Room::proxy(room(&request))?;
    match request.method() {
        "PUT" => {
            let description: Description = request.json()?;
            room.describe(description.topic).call(&client)?;
            Ok(HttpResponse::new(204))
        }
        "DELETE" => {
            room.delete().call(&client)?;
            Ok(HttpResponse::new(204))
        }
        _ => Ok(HttpResponse::ok_json(&room.view().call(&client)?)?),
    }
}

/// The names of the rooms, page by page.
#[http_trigger(route = "Chat", methods = ["GET"])]
fn Chat_Rooms(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let mut filter = EntityFilter::of("Room");
    if let Some(topic) = request.query("topic") {
        filter = filter.with_field("topic", topic)?;
    }
    let mut query = EntityQuery { filter, ..EntityQuery::default() };
    let mut rooms = Vec::new();
    loop {
        let page = client.list_entities(&query)?;
        rooms.extend(page.entities.into_iter().map(|room| room.entity.key().to_owned()));
        query.continuation_token = page.continuation_token;
        if query.continuation_token.is_none() {
            return Ok(HttpResponse::ok_json(&rooms)?);
        }
    }
}

#[http_trigger(route = "Members/{member}/read", methods = ["POST"])]
fn Members_Read(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let member = Member::proxy(request.route_value("member").unwrap_or_default())?;
    Ok(HttpResponse::ok_json(&member.read().call(&client)?)?)
}

fn room(request: &HttpRequest) -> &str {
    request.route_value("room").unwrap_or_default()
}

//! Chat rooms: entities that tell other entities what happens.
//!
//! - `POST Chat/{room}/join` and `POST Chat/{room}/leave` with `{"member": "ada"}`,
//! - `POST Chat/{room}/say` with `{"member": "ada", "text": "Hello"}`: the room tells its members,
//! - `PUT Chat/{room}` with `{"topic": "rust"}`, `DELETE Chat/{room}` closes it,
//! - `GET Chat/{room}` answers with its topic, its members and what was said last,
//! - `GET Chat?topic=rust` answers with the names of the rooms about that; without a topic, of all,
//! - `POST Members/{member}/read` answers with what is new for a member and takes it off.

mod member;
mod room;
mod routes;

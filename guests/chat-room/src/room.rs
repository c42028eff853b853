//! A room: who is in it, and what was said last.

use std::collections::{BTreeSet, VecDeque};

use everstate_sdk::{EntityContext, Failure, entity};
use serde::{Deserialize, Serialize};

use crate::member::{Member, News};

/// What a room remembers; its members have the rest.
const REMEMBERED: usize = 100;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Room {
    /// A field that rooms are found by.
    topic: Option<String>,
    members: BTreeSet<String>,
    said: VecDeque<Message>,
}

/// Something that a member said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) member: String,
    pub(crate) text: String,
}

/// The state of a room is also its view, so `view` gives all of it.
#[entity(indexes("topic"))]
impl Room {
    fn describe(&mut self, topic: Option<String>) {
        self.topic = topic;
    }

    fn join(&mut self, member: String) {
        self.members.insert(member);
    }

    fn leave(&mut self, member: String) {
        self.members.remove(&member);
    }

    /// Signals go out when the operation has ended well, together with the new state. If one member could
    /// not be signalled, nobody would hear anything, and the room would not remember it.
    fn say(&mut self, context: &mut EntityContext, message: Message) -> Result<(), Failure> {
        if !self.members.contains(&message.member) {
            let problem = format!("{} is not in the room {}", message.member, context.key());
            return Err(Failure::new("NotAMember", problem).non_retriable());
        }
        for member in self.members.iter().filter(|member| **member != message.member) {
            let news = News { room: context.key().to_owned(), message: message.clone() };
            Member::proxy(member)?.tell(news).signal(context)?;
        }
        self.said.push_back(message);
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
        Ok(())
    }

    fn view(&self) -> Self {
        self.clone()
    }
}

//! A member, and what is new for it.

use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

use crate::room::Message;

/// Something that was said in a room.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct News {
    pub(crate) room: String,
    pub(crate) message: Message,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    unread: Vec<News>,
}

/// Somebody who has not been there for a month is forgotten.
#[entity(time_to_live_s = 2_592_000)]
impl Member {
    /// What comes from one room comes in the order in which it was said there.
    fn tell(&mut self, news: News) {
        self.unread.push(news);
    }

    fn read(&mut self) -> Vec<News> {
        std::mem::take(&mut self.unread)
    }
}

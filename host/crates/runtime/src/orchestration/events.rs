//! [`Events`]: external events that came to one execution, and who waits for them.
//!
//! Of several waiters for one name the newest gets the next event; events that nobody waits for are
//! kept in order. A waiter that gave up never swallows an event.

use std::collections::{BTreeMap, VecDeque};

use everstate_types::{Payload, Timestamp};

use super::handles::State;

/// The events of one execution that its guest has not taken, and its waiters.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// By their place among all that arrived: the name as it was raised, and what it carries.
    untaken: BTreeMap<u32, (String, Payload)>,
    /// By the name in lower case. No name is kept that has neither events nor waiters.
    names: BTreeMap<String, Name>,
    /// By the waiter's number.
    waiters: Vec<Waiter>,
}

/// What is kept of one name. Never both: an event goes to a waiter if there is one.
#[derive(Debug, Default)]
struct Name {
    /// Places of events that belong to no waiter, oldest first.
    buffer: VecDeque<u32>,
    /// Waiters that have no event, oldest first.
    waiters: Vec<usize>,
}

#[derive(Debug)]
struct Waiter {
    /// As the guest wrote it. Empty once it is not needed.
    name: String,
    /// When it began to wait.
    since: Timestamp,
    state: State,
}

impl Events {
    /// How many waiters there were.
    pub(super) fn waiters_count(&self) -> usize {
        self.waiters.len()
    }

    /// An event came in, as the so-manieth of all that arrived.
    pub(super) fn raise(&mut self, order: u32, name: &str, input: Payload) {
        self.untaken.insert(order, (name.to_owned(), input));
        self.place(order, &name.to_lowercase());
    }

    /// The guest waits for the next event of a name.
    pub(super) fn wait(&mut self, name: &str, since: Timestamp) {
        let as_written = name.to_owned();
        let name = name.to_lowercase();
        let number = self.waiters.len();
        let of_name = self.names.entry(name.clone()).or_default();
        let state = match of_name.buffer.pop_front() {
            Some(order) => State::Ready(order),
            None => {
                of_name.waiters.push(number);
                State::Open
            }
        };
        self.forget_if_unused(&name);
        self.waiters.push(Waiter { name: as_written, since, state });
    }

    /// The name that a waiter waits for, and since when.
    pub(super) fn awaited(&self, number: usize) -> Option<(&str, Timestamp)> {
        let waiter = self.waiters.get(number)?;
        Some((waiter.name.as_str(), waiter.since))
    }

    /// What has become of a waiter.
    pub(super) fn state(&self, number: usize) -> Option<State> {
        self.waiters.get(number).map(|waiter| waiter.state)
    }

    /// Hands out the event of a waiter that has one.
    pub(super) fn take(&mut self, number: usize) -> Option<Payload> {
        let waiter = self.waiters.get_mut(number)?;
        let State::Ready(order) = waiter.state else { return None };
        waiter.state = State::Taken;
        waiter.name = String::new();
        self.untaken.remove(&order).map(|(_, input)| input)
    }

    /// A waiter gives up. Its event, if it has one, goes to the next waiter or back to its place.
    pub(super) fn cancel(&mut self, number: usize) {
        let Some(waiter) = self.waiters.get_mut(number) else { return };
        let state = std::mem::replace(&mut waiter.state, State::Cancelled);
        match state {
            State::Ready(order) => {
                let name = std::mem::take(&mut waiter.name).to_lowercase();
                self.place(order, &name);
            }
            State::Open => {
                let name = std::mem::take(&mut waiter.name).to_lowercase();
                if let Some(of_name) = self.names.get_mut(&name) {
                    of_name.waiters.retain(|waiter| *waiter != number);
                }
                self.forget_if_unused(&name);
            }
            State::Taken | State::Silent | State::Cancelled => waiter.state = state,
        }
    }

    /// Takes out all events that the guest has not taken, also those that a waiter has: the names
    /// as they were raised and what they carry, oldest first.
    pub(super) fn take_untaken(&mut self) -> Vec<(String, Payload)> {
        std::mem::take(&mut self.untaken).into_values().collect()
    }

    /// Gives an event to the newest waiter of its name, or puts it in its place among the others.
    fn place(&mut self, order: u32, name: &str) {
        let of_name = self.names.entry(name.to_owned()).or_default();
        match of_name.waiters.pop() {
            Some(newest) => self.waiters[newest].state = State::Ready(order),
            None => {
                let index = of_name.buffer.partition_point(|earlier| *earlier < order);
                of_name.buffer.insert(index, order);
            }
        }
        self.forget_if_unused(name);
    }

    fn forget_if_unused(&mut self, name: &str) {
        if self.names.get(name).is_some_and(|n| n.buffer.is_empty() && n.waiters.is_empty()) {
            self.names.remove(name);
        }
    }
}

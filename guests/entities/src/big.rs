//! A state as large as asked.

use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Big {
    text: String,
    /// How often it was told to do something.
    changes: u64,
}

/// What is known of a text without sending it.
#[derive(Debug, Serialize, Deserialize)]
struct Digest {
    length: usize,
    sum: u64,
    changes: u64,
}

#[entity]
impl Big {
    /// Makes the text so many characters long: digits that begin with those of its length.
    fn fill(&mut self, length: usize) -> Digest {
        let digits = length.to_string();
        self.text = digits.repeat(length / digits.len() + 1);
        self.text.truncate(length);
        self.changes += 1;
        self.told()
    }

    fn touch(&mut self) -> Digest {
        self.changes += 1;
        self.told()
    }

    fn digest(&self) -> Digest {
        self.told()
    }
}

impl Big {
    fn told(&self) -> Digest {
        let sum = self.text.bytes().map(u64::from).sum();
        Digest { length: self.text.len(), sum, changes: self.changes }
    }
}

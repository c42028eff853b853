//! One account.

use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

/// An account that nobody has opened holds nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    balance: i64,
}

/// Deliberately simple: an account knows nothing of limits and of other accounts. What must hold
/// for several of them is the business of those that lock them.
#[entity]
impl Account {
    fn balance(&self) -> i64 {
        self.balance
    }

    fn set_balance(&mut self, balance: i64) {
        self.balance = balance;
    }
}

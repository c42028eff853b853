//! A bank: money moves between accounts in critical sections, so that nobody ever sees it twice
//! or not at all.
//!
//! - `POST Bank/open` with `{"accounts": 100, "balance": 1000}` opens the accounts `0` to `99`,
//! - `POST Bank/transfer` with `{"from": "0", "to": "1", "amount": 5}` answers whether the money was
//!   moved: not if there was not enough; `?id=…` names the orchestration,
//! - `GET Bank/audit` answers with the sum of all accounts; `?accounts=10` of the first ten,
//! - `GET Bank/{account}` answers with the balance of one account.

mod account;
mod orchestrators;
mod routes;

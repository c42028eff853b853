//! What is done with several accounts at a time.

use everstate_sdk::{EntityId, Failure, OrchestrationContext, orchestrator};
use futures_util::future::{try_join, try_join_all};
use serde::{Deserialize, Serialize};

use crate::account::Account;

/// The accounts `0` to `accounts - 1`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) accounts: u64,
    /// What each of them holds in the beginning.
    pub(crate) balance: i64,
}

/// Money that is to be moved.
#[derive(Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) amount: i64,
}

/// Sets the balances of so many accounts, and gives their number.
#[orchestrator]
async fn Bank_Open(context: OrchestrationContext, opening: Opening) -> Result<u64, Failure> {
    let mut opened = Vec::new();
    for number in 0..opening.accounts {
        let account = Account::proxy(&number.to_string())?;
        // All of them are under way at the same time.
        opened.push(account.set_balance(opening.balance).call(&context));
    }
    try_join_all(opened).await?;
    Ok(opening.accounts)
}

/// Moves money if there is enough, and says whether it did.
///
/// Between reading the balances and writing them nobody else may change them, and between the two writes
/// nobody may look: therefore both accounts are locked. They are free again when `_lock` is dropped,
/// and in any case when the orchestration ends, however it does.
#[orchestrator]
async fn Bank_Transfer(context: OrchestrationContext, transfer: Transfer) -> Result<bool, Failure> {
    let Transfer { from, to, amount } = transfer;
    if from == to || amount < 0 {
        let message = format!("{amount} cannot be moved from account {from} to account {to}");
        return Err(Failure::new("InvalidTransfer", message).non_retriable());
    }
    let (from, to) = (Account::proxy(&from)?, Account::proxy(&to)?);
    let _lock = context.lock_entities(&[from.entity_id().clone(), to.entity_id().clone()]).await?;

    let balances = try_join(from.balance().call(&context), to.balance().call(&context));
    let (available, saved) = balances.await?;
    if available < amount {
        return Ok(false);
    }
    try_join(
        from.set_balance(available - amount).call(&context),
        to.set_balance(saved + amount).call(&context),
    )
    .await?;
    Ok(true)
}

/// The sum of the accounts `0` to `accounts - 1`. While it holds all of them no transfer is half done.
#[orchestrator]
async fn Bank_Audit(context: OrchestrationContext, accounts: u64) -> Result<i64, Failure> {
    let accounts = (0..accounts).map(|number| Account::proxy(&number.to_string()));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<EntityId> = accounts.iter().map(|each| each.entity_id().clone()).collect();
    let _lock = context.lock_entities(&ids).await?;

    let balances = accounts.iter().map(|account| account.balance().call(&context));
    Ok(try_join_all(balances).await?.into_iter().sum())
}

//! The books of the bank, when it is closed: what every order came to, and what every account holds.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use everstate_types::{EntityId, EntityRecord, InstanceId, OrchestrationRecord, RuntimeStatus};
use serde_json::Value;

use crate::bank::{ACCOUNTS, BALANCE, Orders, SUM, Transfer, transfer_id};

/// Compares what is stored with what clients asked for and were told.
pub(crate) fn check(
    orders: &Orders,
    orchestrations: &[(InstanceId, OrchestrationRecord)],
    entities: &[(EntityId, EntityRecord)],
) -> Result<()> {
    let mut balances = vec![BALANCE; ACCOUNTS as usize];
    let mut transfers: HashMap<String, (&Transfer, bool)> = orders
        .transfers
        .iter()
        .enumerate()
        .map(|(number, transfer)| (transfer_id(number), (transfer, false)))
        .collect();
    for (id, record) in orchestrations {
        match record.name.as_str() {
            "Bank_Open" => drop(output(id, record)?),
            "Bank_Audit" => check_audit(orders, id, record)?,
            "Bank_Transfer" => {
                let (transfer, has_ended) = transfers
                    .get_mut(id.as_str())
                    .with_context(|| format!("nobody asked for {id}"))?;
                *has_ended = true;
                settle(id, record, transfer, &mut balances)?;
            }
            name => bail!("{id} is a {name}"),
        }
    }
    for (id, (transfer, has_ended)) in &transfers {
        ensure!(*has_ended || !transfer.is_accepted, "{id} was accepted and is unknown");
    }
    check_accounts(entities, &balances)
}

/// Every audit that ended by itself found the sum, whether or not anybody was told.
fn check_audit(orders: &Orders, id: &InstanceId, record: &OrchestrationRecord) -> Result<()> {
    if record.status == RuntimeStatus::Terminated && orders.terminated.contains(id.as_str()) {
        return Ok(());
    }
    let found = output(id, record)?;
    ensure!(found == SUM, "{id} found {found}, not {SUM}");
    Ok(())
}

/// Books a transfer as it ended, which must be what the client was told.
fn settle(
    id: &InstanceId,
    record: &OrchestrationRecord,
    transfer: &Transfer,
    balances: &mut [i64],
) -> Result<()> {
    let is_moved = output(id, record)?.as_bool().with_context(|| format!("{id} says nothing"))?;
    let told = transfer.is_moved.unwrap_or(is_moved);
    ensure!(told == is_moved, "{id}: the client was told {told}, and it is {is_moved}");
    if is_moved {
        balances[transfer.from as usize] -= transfer.amount;
        balances[transfer.to as usize] += transfer.amount;
    }
    Ok(())
}

fn check_accounts(entities: &[(EntityId, EntityRecord)], balances: &[i64]) -> Result<()> {
    let mut found = HashMap::new();
    for (id, record) in entities {
        ensure!(record.lock.is_none(), "{id} is locked: {:?}", record.lock);
        let state = record.state.value.as_ref().with_context(|| format!("{id} has no state"))?;
        let state: Value = serde_json::from_str(state.as_str())?;
        found.insert(id.key().to_owned(), state["balance"].as_i64());
    }
    for (number, expected) in balances.iter().enumerate() {
        let balance = found.remove(&number.to_string()).flatten();
        ensure!(balance == Some(*expected), "account {number}: {balance:?}, not {expected}");
        ensure!(*expected >= 0, "account {number} is overdrawn: {expected}");
    }
    ensure!(found.is_empty(), "more accounts than were opened: {found:?}");
    Ok(())
}

/// The output of an orchestration, which must have ended well.
fn output(id: &InstanceId, record: &OrchestrationRecord) -> Result<Value> {
    let (status, failure) = (record.status, &record.failure);
    ensure!(status == RuntimeStatus::Completed, "{id} is {status:?}: {failure:?}");
    let output = record.output.as_ref().with_context(|| format!("{id} has no output"))?;
    Ok(serde_json::from_str(output.as_str())?)
}

//! The ways in which a scenario runs: plainly, with everything evicted that waits, and killed between
//! any two commits. The results must be the same.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use everstate_tests::driver::{Driver, Way};
use everstate_tests::host::HostOptions;

use crate::options;

/// Makes three tests out of each scenario, in the modules `plainly`, `evicted` and `killed`.
///
/// A scenario is an `async fn(&Driver) -> Result<()>`; the function `host` beside it gives the options of
/// the host that it runs on.
macro_rules! in_every_way {
    ($($scenario:ident),+ $(,)?) => {
        mod plainly {
            $(#[tokio::test]
            async fn $scenario() -> anyhow::Result<()> {
                $crate::ways::plainly(super::host(), super::$scenario).await
            })+
        }

        mod evicted {
            $(#[tokio::test]
            async fn $scenario() -> anyhow::Result<()> {
                $crate::ways::evicted(super::host(), super::$scenario).await
            })+
        }

        mod killed {
            $(#[tokio::test]
            async fn $scenario() -> anyhow::Result<()> {
                $crate::ways::killed(super::host(), super::$scenario).await
            })+
        }
    };
}

pub(crate) use in_every_way;

/// Set to anything: kill after every single commit, however many there are.
const EVERY_COMMIT_VARIABLE: &str = "KILL_AFTER_EVERY_COMMIT";

/// So many commits are tried one by one; behind them some are left out, the more the further.
const TRIED_ONE_BY_ONE: u32 = 8;

/// As a user would run it.
pub(crate) async fn plainly(
    host: HostOptions,
    scenario: impl AsyncFn(&Driver) -> Result<()>,
) -> Result<()> {
    run(host, Way::Plain, &scenario).await.map(drop)
}

/// No suspended orchestrator and no instance is kept in memory.
pub(crate) async fn evicted(
    host: HostOptions,
    scenario: impl AsyncFn(&Driver) -> Result<()>,
) -> Result<()> {
    run(host, Way::Evicted, &scenario).await.map(drop)
}

/// Once for each commit that the scenario causes: the host kills itself right behind it.
pub(crate) async fn killed(
    host: HostOptions,
    scenario: impl AsyncFn(&Driver) -> Result<()>,
) -> Result<()> {
    let every_commit = std::env::var_os(EVERY_COMMIT_VARIABLE).is_some();
    let mut after_commits = 1;
    while run(host.clone(), Way::Killed { after_commits }, &scenario).await? {
        let is_tried = every_commit || after_commits < TRIED_ONE_BY_ONE;
        after_commits += if is_tried { 1 } else { after_commits / 3 };
    }
    ensure!(after_commits > 1, "the host was not killed once");
    Ok(())
}

/// Runs a scenario on fresh data; whether the host was killed meanwhile.
async fn run(
    host: HostOptions,
    way: Way,
    scenario: &impl AsyncFn(&Driver) -> Result<()>,
) -> Result<bool> {
    let driver = Driver::start(host, way).await?;
    Box::pin(scenario(&driver)).await.with_context(|| format!("run {way:?}"))?;
    Ok(driver.has_died())
}

/// A host with these components, which are compiled once for all hosts of all scenarios.
pub(crate) fn host_with(guests: &[&str]) -> HostOptions {
    options(guests).compiled(Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled")))
}

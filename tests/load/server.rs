//! Starting what is measured: floor, or the host, on a data folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use everstate_tests::http::Client;
use everstate_tests::process::ServerProcess;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use tempfile::TempDir;
use tokio::process::Command;

/// How long a server may take to its first answer, or to its end; compiling a component may be a part
/// of it.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(120);

/// What is started, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The host's binary.
    #[arg(long)]
    host: PathBuf,
    /// The functions folder with the components of guests/database, hello, stopwatch, counter and bank.
    #[arg(long)]
    functions: PathBuf,
    /// Where to make the data folders; they are removed. The disk under it is what is measured.
    /// Default: beside this program.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The least that a durable server does.
    Floor,
    /// The host.
    Host,
}

impl Place {
    /// A folder that is removed with the value.
    pub(crate) fn fresh_folder(&self) -> Result<TempDir> {
        let program = std::env::current_exe()?;
        let beside = program.parent().unwrap_or(Path::new("."));
        let scratch = self.scratch.as_deref().unwrap_or(beside);
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(scratch)
            .with_context(|| format!("cannot make a data folder in {}", scratch.display()))
    }

    /// Starts a server and waits for its first 200.
    pub(crate) async fn start(
        &self,
        target: Target,
        data: &Path,
    ) -> Result<(ServerProcess, SocketAddr)> {
        self.start_with(target, data, &[]).await
    }

    /// The same, with settings: names as in the environment of the host, and values.
    pub(crate) async fn start_with(
        &self,
        target: Target,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> Result<(ServerProcess, SocketAddr)> {
        let mut command = match target {
            Target::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("floor");
                command
            }
            Target::Host => {
                let mut command = Command::new(&self.host);
                command.arg("run").arg("--functions").arg(&self.functions);
                command
            }
        };
        command.arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied());
        let mut server = ServerProcess::spawn(command)?;
        let address = first_answer(&mut server).await?;
        Ok((server, address))
    }
}

async fn first_answer(server: &mut ServerProcess) -> Result<SocketAddr> {
    let address = server.address(START_DEADLINE).await?;
    let client = Client { address };
    eventually("the first answer", START_DEADLINE, || async {
        client.get("/Database/0").await.ok().filter(|reply| reply.status == StatusCode::OK)
    })
    .await
    .with_context(|| server.output().all())?;
    Ok(address)
}

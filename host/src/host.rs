//! The host: puts the parts together, in the order in which they need each other.
//!
//! A socket first, so that a taken port ends the start before anything is touched; then the data, whose
//! lock keeps a second process out; then the functions, because what goes on after a crash needs
//! their code; then the engine, and at last the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use everstate_engine::TaskHub;
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_engine::storage::StorageError;
use everstate_http::{
    AboutHost, Exposure, HttpServer, ImportLimits, ManagementResponses, Services,
};
use everstate_runtime::{Runtime, RuntimeConfig};
use everstate_storage::RocksStorage;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::backup::{RunningBackups, STATE};
use crate::config::HostConfig;
use crate::deployments::{Deployer, follow_deployments};
use crate::functions::FunctionsFolder;
use crate::observe::{KeptLogs, Observing};
use crate::retention::retain;
use crate::shutdown::shutdown_signal;
use crate::{data_folder, listing, telemetry};

/// How long tasks that still run may take to stop at the very end. What they do is not
/// acknowledged and goes on after the next start.
const TASKS_STOP: Duration = Duration::from_millis(500);

/// Runs a host until a shutdown signal comes.
pub(crate) fn run(config: HostConfig) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime cannot start")?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(TASKS_STOP);
    result
}

async fn serve(config: HostConfig) -> anyhow::Result<()> {
    let shutdown = shutdown_signal()?;
    let about = about(&config)?;
    let (listener, address) = bind(&config.listen).await?;
    let storage = open_storage(&config)?;
    let exposure = Exposure::new(address, &config.data, &config.http, &config.tls, &config.cors)?;
    let import_limits = import_limits(&config.runtime);
    let responses = ManagementResponses::new(exposure.link_codes());
    let runtime = Runtime::new(of_guests(&config), &config.data, Arc::new(responses))?;
    let observing = Observing::start(&config.telemetry, &config.data)?;
    if let Some(logs) = &observing.logs {
        runtime.keep_logs_in(Arc::<KeptLogs>::clone(logs));
    }
    let functions = FunctionsFolder::open(config.functions, &config.data, runtime.clone())?;
    functions.load_all().await?;
    let hub = TaskHub::start(
        &config.engine,
        Arc::<RocksStorage>::clone(&storage),
        Arc::new(runtime.clone()),
        Arc::new(SystemClock),
        &observing.of_engine(),
        Box::new(end_process),
    )
    .context("the data cannot be read")?;
    let hub = Arc::new(hub);
    let client = hub.client();
    let deployer = Deployer::new(Arc::clone(&functions), client.clone());
    // What runs beside the server, and stops with it.
    let mut beside = JoinSet::new();
    beside.spawn(follow_deployments(deployer.clone(), config.deployments.versions_kept));
    beside.spawn(retain(config.retention, client.clone(), Arc::new(SystemClock)));
    let services = Services {
        about: Arc::new(about),
        backups: Arc::new(RunningBackups::new(client.clone(), config.data)),
        deployments: Arc::new(deployer),
        functions: Arc::new(runtime.clone()),
        clock: Arc::new(SystemClock),
        import_limits,
        engine: Arc::new(client),
        readiness: functions.warnings(),
        routes: functions.routes(),
        exposure: exposure.clone(),
        telemetry: observing.of_http(Arc::clone(&hub), runtime.clone(), storage),
    };
    let server = HttpServer::new(listener, services, config.http)?;
    announce(address, &exposure, &functions)?;
    beside.spawn(tell_changes(address, exposure, Arc::clone(&functions)));
    beside.spawn(functions.follow());
    let stopping = Arc::clone(&hub);
    let drained = server
        .run(async move {
            let name = shutdown.await;
            info!("{name}: finishing what is under way");
            stopping.refuse_new_work();
        })
        .await;
    beside.abort_all();
    if let Err(cut) = drained {
        tracing::warn!("{cut}");
    }
    tokio::task::spawn_blocking(move || hub.stop()).await.context("the last commit failed")?;
    runtime.close();
    observing.stop().await;
    info!("stopped");
    Ok(())
}

fn open_storage(config: &HostConfig) -> anyhow::Result<Arc<RocksStorage>> {
    data_folder::check(&config.data)?;
    Ok(Arc::new(RocksStorage::open(config.data.join(STATE), &config.storage)?))
}

fn of_guests(config: &HostConfig) -> RuntimeConfig {
    RuntimeConfig {
        activities: config.activities.clone(),
        outgoing_http: config.outgoing_http.clone(),
        ..config.runtime.clone()
    }
}

/// What functions could not have made does not come in by an import.
fn import_limits(config: &RuntimeConfig) -> ImportLimits {
    let RuntimeConfig { payload_bytes_max, entity_state_bytes_max, .. } = *config;
    ImportLimits { payload_bytes_max, entity_state_bytes_max }
}

async fn bind(listen: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "{listen} is unavailable: another process listens there; close it, or choose another \
             address with --listen"
        ),
        _ => anyhow!("cannot listen on `{listen}`: {error}"),
    })?;
    let address = listener.local_addr().context("the socket has no address")?;
    Ok((listener, address))
}

fn about(config: &HostConfig) -> anyhow::Result<AboutHost> {
    let here = std::env::current_dir().context("the working folder is gone")?;
    Ok(AboutHost {
        version: env!("CARGO_PKG_VERSION"),
        started_at: SystemClock.now(),
        functions: here.join(&config.functions),
        data: here.join(&config.data),
    })
}

/// Tells the user where to `curl`, and with which key if one was made for that.
fn announce(
    address: SocketAddr,
    exposure: &Exposure,
    functions: &FunctionsFolder,
) -> anyhow::Result<()> {
    telemetry::print(&format!(
        "Everstate {}\nNow listening on: {}://{address}\nPress Ctrl+C to shut down.\n\n",
        env!("CARGO_PKG_VERSION"),
        exposure.scheme(),
    ));
    print_functions(address, exposure, functions);
    print_new_keys(exposure, functions)
}

fn print_functions(address: SocketAddr, exposure: &Exposure, functions: &FunctionsFolder) {
    let shown = functions.shown();
    let scheme = exposure.scheme();
    telemetry::print(&listing::functions(scheme, address, &shown.http, &shown.others));
}

/// Makes the keys that are needed for the first time. They are shown here and never again.
fn print_new_keys(exposure: &Exposure, functions: &FunctionsFolder) -> anyhow::Result<()> {
    let levels: Vec<_> = functions.shown().http.iter().map(|function| function.level).collect();
    let made = exposure.make_needed_keys(&levels, SystemClock.now())?;
    telemetry::print(&listing::keys(&made));
    Ok(())
}

/// Shows the functions whenever they have changed. Never ends.
async fn tell_changes(address: SocketAddr, exposure: Exposure, functions: Arc<FunctionsFolder>) {
    let mut changes = functions.changes();
    while changes.changed().await.is_ok() {
        print_functions(address, &exposure, &functions);
        if let Err(error) = print_new_keys(&exposure, &functions) {
            tracing::error!("functions that need a key cannot be called: {error:#}");
        }
    }
}

/// The disk does not take what is promised to be on it. Nothing that was acknowledged is lost, and
/// nothing more may be: the next start goes on from what is there.
fn end_process(error: &StorageError) {
    telemetry::report_fatal(&format!(
        "the data cannot be written, the host ends to lose nothing: {error}"
    ));
    std::process::exit(1);
}

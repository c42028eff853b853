//! `floor`: the least that a durable key-value server over HTTP does.
//!
//! The same HTTP stack, the same RocksDB and the same promise as the host (no 200 before the fsync),
//! and nothing in between: no guest, no orchestration, no entity. What the host adds is the rest.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rocksdb::{DB, Options};
use tokio::net::TcpListener;

use crate::committer::Committer;

#[derive(Clone)]
struct Floor {
    db: Arc<DB>,
    committer: Committer,
}

/// Serves until the process is killed.
pub(crate) async fn serve(listen: SocketAddr, data: &FilePath) -> Result<()> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_manual_wal_flush(true);
    let db = Arc::new(DB::open(&options, data).context("cannot open the data folder")?);
    let floor = Floor { committer: Committer::start(Arc::clone(&db))?, db };
    let router = Router::new().route("/Database/{key}", get(read).put(write)).with_state(floor);

    let listener = TcpListener::bind(listen).await.context("cannot listen")?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        // The error of a connection is the client's to report.
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

#[expect(clippy::print_stdout, reason = "whoever started floor reads its address there")]
fn announce(address: SocketAddr) {
    println!("Now listening on: http://{address}");
}

async fn write(
    State(floor): State<Floor>,
    Path(key): Path<String>,
    value: Bytes,
) -> (StatusCode, Bytes) {
    match floor.committer.put(key, value.clone()).await {
        Ok(()) => (StatusCode::OK, value),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into()),
    }
}

async fn read(State(floor): State<Floor>, Path(key): Path<String>) -> (StatusCode, Bytes) {
    match floor.db.get(key) {
        Ok(Some(value)) => (StatusCode::OK, value.into()),
        Ok(None) => (StatusCode::OK, Bytes::from_static(b"null")),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into()),
    }
}

//! One exchange on one connection: connect to a checked address, TLS if it is wanted, request,
//! response. The body is bounded in size and time while it is read.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::io::TokioIo;

use super::address::resolve;
use super::{Destination, Outgoing, SendError, Times};

/// A response's body, with the connection that it comes from.
pub(super) struct ResponseBody {
    incoming: Incoming,
    bytes_max: usize,
    /// Bytes that may still come.
    room: usize,
    /// When the exchange has to be over.
    deadline: Instant,
    between_bytes: Option<Duration>,
    started: Instant,
    /// Until the next piece has to be there.
    patience: Pin<Box<Sleep>>,
    /// Drives the connection; it ends with the body.
    _connection: AbortOnDropJoinHandle<()>,
}

/// Sends a request and gives the response as soon as its head is there.
pub(super) async fn exchange<B>(
    outgoing: &Outgoing,
    destination: &Destination,
    mut request: Request<B>,
    times: Times,
    deadline: Instant,
) -> Result<Response<ResponseBody>, SendError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let started = Instant::now();
    let stream = within(times.connect, connect(outgoing, destination)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an outgoing connection broke off");
        }
    });
    prepare(&mut request, destination);
    let response = within(times.first_byte, async { Ok(sender.send_request(request).await?) });
    let response = response.await?;
    let bytes_max = outgoing.response_bytes_max;
    if response.body().size_hint().lower() > bytes_max as u64 {
        return Err(SendError::TooLarge(bytes_max));
    }
    Ok(response.map(|incoming| ResponseBody {
        incoming,
        bytes_max,
        room: bytes_max,
        deadline,
        between_bytes: times.between_bytes,
        started,
        patience: Box::pin(sleep_until(next_deadline(deadline, times.between_bytes))),
        _connection: connection,
    }))
}

/// What a connection has to be able to.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(
    outgoing: &Outgoing,
    destination: &Destination,
) -> Result<Box<dyn Stream>, SendError> {
    let Destination { host, port, authority, is_secure } = destination;
    let addresses = resolve(&outgoing.allow, host, *port).await?;
    let stream = connect_first(&addresses).await;
    let stream = stream.map_err(|error| SendError::Connect(authority.to_string(), error))?;
    if !is_secure {
        return Ok(Box::new(stream));
    }
    let insecure = |error| SendError::Tls(authority.to_string(), error);
    let name = ServerName::try_from(host.as_str())
        .map_err(|error| insecure(io::Error::new(io::ErrorKind::InvalidInput, error)))?
        .to_owned();
    let connector = TlsConnector::from(std::sync::Arc::clone(&outgoing.tls));
    Ok(Box::new(connector.connect(name, stream).await.map_err(insecure)?))
}

/// The first connection that comes about.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Gives the request the form that a server wants: the path alone, and the host as a header.
fn prepare<B>(request: &mut Request<B>, destination: &Destination) {
    let path = request.uri().path_and_query().cloned();
    let path = path.filter(|path| path.as_str().starts_with('/'));
    *request.uri_mut() = match path {
        Some(path) => Uri::from(path),
        None => Uri::from_static("/"),
    };
    let host = HeaderValue::from_str(destination.authority.as_str());
    let host = host.expect("an authority has no characters that a header cannot have");
    request.headers_mut().insert(HOST, host);
}

async fn within<T>(
    limit: Option<Duration>,
    step: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    match limit {
        None => step.await,
        Some(limit) => match timeout(limit, step).await {
            Ok(result) => result,
            Err(_) => Err(SendError::TimedOut(limit.as_millis())),
        },
    }
}

fn next_deadline(deadline: Instant, between_bytes: Option<Duration>) -> Instant {
    between_bytes.map_or(deadline, |between| deadline.min(Instant::now() + between))
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                let Some(room) = this.room.checked_sub(len) else {
                    return Poll::Ready(Some(Err(SendError::TooLarge(this.bytes_max))));
                };
                this.room = room;
                if this.between_bytes.is_some() {
                    let next = next_deadline(this.deadline, this.between_bytes);
                    this.patience.as_mut().reset(next);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => this.patience.as_mut().poll(context).map(|()| {
                let waited = this.started.elapsed().as_millis();
                Some(Err(SendError::TimedOut(waited)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

//! Where a guest's standard output and standard error go: into log lines, and the end of standard
//! error into the message of a trap, because that is where a panic message arrives.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, empty};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that one stream may write before they are flushed; what is more is dropped.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Bytes that a stream accepts at a time.
const WRITE_BYTES_MAX: usize = 4 << 10;

/// Bytes of standard error in the message of a trap.
const LAST_WORDS_BYTES_MAX: usize = 1 << 10;

/// What a guest has written since the last flush.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestOutput {
    out: Stream,
    err: Stream,
}

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl GuestOutput {
    /// The stream for standard output.
    pub(crate) fn stdout(&self) -> impl StdoutStream + 'static {
        self.out.clone()
    }

    /// The stream for standard error.
    pub(crate) fn stderr(&self) -> impl StdoutStream + 'static {
        self.err.clone()
    }

    /// Hands on what was written, line by line, and forgets it.
    pub(crate) fn flush(&self, mut line: impl FnMut(Source, &str)) {
        for (source, stream) in [(Source::Out, &self.out), (Source::Err, &self.err)] {
            let text = stream.take();
            for text in String::from_utf8_lossy(&text).lines() {
                line(source, text);
            }
        }
    }

    /// The end of standard error since the last flush, on one line.
    pub(crate) fn last_words(&self) -> String {
        let text = self.err.text.lock().unwrap_or_else(PoisonError::into_inner);
        let end = &text[text.len().saturating_sub(LAST_WORDS_BYTES_MAX)..];
        let lossy = String::from_utf8_lossy(end);
        lossy.trim().trim_start_matches('\u{fffd}').lines().collect::<Vec<_>>().join(" | ")
    }
}

#[derive(Clone, Debug, Default)]
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
}

impl Stream {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BUFFER_BYTES_MAX.saturating_sub(text.len());
        text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl Pollable for Stream {
    // What `#[async_trait]` would make of `async fn ready(&mut self) {}`.
    fn ready<'a, 'b>(&'a mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // For component-model async, which guests do not have.
        Box::new(empty())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wasmtime_wasi::p2::OutputStream;

    use super::{BUFFER_BYTES_MAX, GuestOutput, LAST_WORDS_BYTES_MAX, Source};

    #[test]
    fn output_is_handed_on_by_line_and_once() {
        let output = GuestOutput::default();
        output.out.clone().write(Bytes::from("a\nb\n")).expect("accepted");
        output.err.clone().write(Bytes::from("c")).expect("accepted");
        let mut lines = Vec::new();
        output.flush(|source, line| lines.push((source, line.to_owned())));
        let expected = [(Source::Out, "a"), (Source::Out, "b"), (Source::Err, "c")];
        assert_eq!(lines, expected.map(|(source, line)| (source, line.to_owned())));
        output.flush(|_, line| panic!("{line} again"));
    }

    #[test]
    fn last_words_are_the_bounded_end_of_standard_error() {
        let output = GuestOutput::default();
        let mut stream = output.err.clone();
        stream.write(Bytes::from("x".repeat(BUFFER_BYTES_MAX - 10))).expect("accepted");
        stream.write(Bytes::from("\npanicked\n and this is too much")).expect("accepted");
        let words = output.last_words();
        assert!(words.len() <= LAST_WORDS_BYTES_MAX + 2, "{}", words.len());
        assert!(words.ends_with("x | panicked"), "{words}");
    }
}

//! [`LineQueue`]: a stream of this process that is written by a thread of its own.
//!
//! A pipe whose reader pauses blocks whoever writes to it. Lines wait here instead, so that nobody who
//! logs ever does; what does not fit is dropped, counted, and told once the reader goes on.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// Bytes that may wait.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Bytes of a buffer that are kept when it is empty.
const IDLE_BYTES_MAX: usize = 64 << 10;

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct LineQueue {
    state: Mutex<State>,
    /// Notified when something has come, and when it is written.
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that did not fit since the last were taken to be written.
    dropped: u64,
    is_writing: bool,
}

impl LineQueue {
    /// Begins to write. `tell` is called when lines were dropped and it goes on; it may write here.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let written = Arc::clone(&queue);
        let thread = thread::Builder::new().name("lines".to_owned());
        // It ends with the process: nothing can be done about a write that blocks.
        drop(thread.spawn(move || written.run(out, tell))?);
        Ok(queue)
    }

    /// How many lines were dropped.
    pub(crate) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// Adds whole lines, or drops them. Never blocks.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + lines.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            self.dropped.inc();
        } else {
            state.waiting.extend_from_slice(lines);
            self.changed.notify_all();
        }
    }

    /// Waits until all is written, but not longer than this. Says whether it is.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), limit, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn run(&self, mut out: impl Write, tell: impl Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.take(&mut lines);
            // Where nobody reads any more, nobody misses it.
            drop(out.write_all(&lines).and_then(|()| out.flush()));
            lines.clear();
            lines.shrink_to(IDLE_BYTES_MAX);
            if dropped > 0 {
                tell(dropped);
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for lines and takes them all. Gives how many did not fit behind them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        let is_empty = |state: &mut State| state.waiting.is_empty();
        let waited = self.changed.wait_while(self.lock(), is_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        mem::swap(&mut state.waiting, lines);
        mem::take(&mut state.dropped)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what is written at once as whole lines.
impl Write for &LineQueue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::{LineQueue, WAITING_BYTES_MAX};

    /// Long enough for anything that ends at all.
    const LONG: Duration = Duration::from_secs(60);

    /// A pipe whose reader decides when a write goes through.
    struct Pipe {
        wants: Sender<Vec<u8>>,
        may: Receiver<()>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.wants.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.may.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn reader_that_pauses_holds_up_nobody_and_what_it_missed_is_told_when_it_goes_on() {
        let (wants, written) = channel();
        let (go_on, may) = channel();
        let (tell, told) = channel();
        let tell = move |dropped| tell.send(dropped).expect("the test goes on");
        let queue = LineQueue::start(Pipe { wants, may }, tell).expect("a thread");
        queue.push(b"first\n");
        assert_eq!(written.recv_timeout(LONG).expect("it is written"), b"first\n");
        assert!(!queue.flush(Duration::ZERO), "the reader has not taken it");
        let line = [b'x'; 1 << 10];
        for _ in 0..WAITING_BYTES_MAX / line.len() + 3 {
            queue.push(&line);
        }
        assert_eq!(queue.dropped().get(), 3);
        assert!(told.try_recv().is_err(), "nothing goes on yet");
        go_on.send(()).expect("it waits");
        assert_eq!(written.recv_timeout(LONG).expect("it goes on").len(), WAITING_BYTES_MAX);
        go_on.send(()).expect("it waits");
        assert_eq!(told.recv_timeout(LONG), Ok(3));
        assert!(queue.flush(LONG), "nothing waits any more");
    }

    #[test]
    fn reader_that_is_gone_is_missed_by_nobody() {
        let (wants, _) = channel();
        let (_, may) = channel();
        let queue = LineQueue::start(Pipe { wants, may }, |_| ()).expect("a thread");
        for _ in 0..2 {
            queue.push(b"line\n");
            assert!(queue.flush(LONG));
        }
        assert_eq!(queue.dropped().get(), 0);
    }
}

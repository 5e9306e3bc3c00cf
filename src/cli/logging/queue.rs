//! Lines that wait to be written, bounded by their bytes, and the thread that writes them.
//!
//! `tracing-appender`'s `NonBlocking` does not do: its bound counts lines, whatever their length, and
//! it allocates for all of them in advance; it drops every kind of line alike, and does not tell.

use std::io::{ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait, those that are being written included: about 20,000 lines, a third of a
/// second of the most requests that were ever measured.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long the thread gathers lines, so that it is woken once for many of them.
const GATHERING: Duration = Duration::from_millis(1);

/// How many bytes are written at once: as many as a pipe takes in one piece (`PIPE_BUF` on Linux), so
/// that lines of several processes do not mix.
const PIECE: usize = 4096;

/// How many bytes of memory are kept when more were needed for a while.
const KEPT: usize = 64 * 1024;

/// How long to wait where another process has made standard error non-blocking, and it is full.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Which lines are dropped first.
#[derive(Clone, Copy, Debug)]
pub enum Importance {
    /// Dropped when the queue is half full.
    Low,
    /// Dropped when the queue is full.
    High,
    /// Never dropped: there are only a few of them.
    Highest,
}

impl Importance {
    /// How full the queue may be with such a line, in bytes.
    fn capacity(self) -> usize {
        match self {
            Self::Low => CAPACITY / 2,
            Self::High => CAPACITY,
            Self::Highest => usize::MAX,
        }
    }
}

/// Lines on their way out.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// There is something to write, or the end has come.
    filled: Condvar,
    /// Everything that was taken has been written, or could not be.
    written: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines, in their order.
    waiting: Vec<u8>,
    /// How many bytes the thread has taken and not finished.
    in_flight: usize,
    /// How many lines were dropped since that was told last.
    dropped: usize,
    /// Nothing is gathered any more.
    is_ending: bool,
}

impl Queue {
    /// Starts the thread that writes. Before it writes anything after lines were dropped, it calls
    /// `tell` with their number, which may [`push`](Self::push) a line about them.
    ///
    /// # Panics
    ///
    /// If the system has no thread for it.
    pub fn start(
        output: impl Write + Send + 'static,
        tell: impl Fn(usize) + Send + 'static,
    ) -> Arc<Self> {
        let queue = Arc::new(Self::default());
        let output = Output {
            output,
            is_torn: false,
        };
        thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.write_to(output, tell)
        });
        queue
    }

    /// Takes a line with its line break, or drops it. Never waits for the output.
    pub fn push(&self, importance: Importance, line: &[u8]) {
        let mut state = self.lock();
        let bytes = state.waiting.len() + state.in_flight + line.len();
        if bytes > importance.capacity() {
            state.dropped += 1;
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, but at most so long. Meant for the end: lines are not
    /// gathered any more.
    pub fn flush(&self, longest: Duration) {
        let mut state = self.lock();
        state.is_ending = true;
        self.filled.notify_one();
        let is_busy = |state: &mut State| !state.waiting.is_empty() || state.in_flight > 0;
        // All is written, or it takes too long: both is the end.
        let _ = self.written.wait_timeout_while(state, longest, is_busy);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to<W: Write>(&self, mut output: Output<W>, tell: impl Fn(usize)) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.wait_for_lines();
            if dropped > 0 {
                tell(dropped);
            }
            {
                let mut state = self.lock();
                mem::swap(&mut state.waiting, &mut lines);
                state.in_flight = lines.len();
            }
            let lost = output.write_lines(&lines);
            lines.clear();
            lines.shrink_to(KEPT);
            {
                let mut state = self.lock();
                state.in_flight = 0;
                if lost > 0 {
                    // The line that told of `dropped` was the last one, so it is lost too.
                    state.dropped += dropped + lost - usize::from(dropped > 0);
                }
            }
            self.written.notify_all();
        }
    }

    /// Waits until there are lines. Returns how many were dropped before, and forgets it.
    fn wait_for_lines(&self) -> usize {
        let is_empty = |state: &mut State| state.waiting.is_empty();
        let state = self.filled.wait_while(self.lock(), is_empty);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let is_gathering = |state: &mut State| !state.is_ending;
        let gathered = self
            .filled
            .wait_timeout_while(state, GATHERING, is_gathering);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut state.dropped)
    }
}

/// Where the lines go.
struct Output<W> {
    output: W,
    /// The last line that was written has no end, because the rest could not be written.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes lines; returns how many of them could not be written in full.
    fn write_lines(&mut self, lines: &[u8]) -> usize {
        let mut rest = lines;
        if self.is_torn && self.write_piece(b"\n").is_ok() {
            self.is_torn = false;
        }
        while !self.is_torn && !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_of(rest));
            if let Err(written) = self.write_piece(piece) {
                self.is_torn = !piece[..written].ends_with(b"\n") && written > 0;
                rest = &rest[written..];
                break;
            }
            rest = later;
        }
        rest.split_inclusive(|&byte| byte == b'\n').count()
    }

    /// Writes everything, or returns how many bytes could be written.
    fn write_piece(&mut self, piece: &[u8]) -> Result<(), usize> {
        let mut written = 0;
        while written < piece.len() {
            match self.output.write(&piece[written..]) {
                Ok(0) => return Err(written),
                Ok(more) => written += more,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
                    _ => return Err(written),
                },
            }
        }
        Ok(())
    }
}

/// How many bytes to write at once: as many whole lines as a [`PIECE`] holds, or one longer line.
fn piece_of(lines: &[u8]) -> usize {
    let is_end = |&byte: &u8| byte == b'\n';
    if lines.len() <= PIECE {
        return lines.len();
    }
    let whole_lines = lines[..PIECE].iter().rposition(is_end);
    let end = whole_lines.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// How long a test waits for what must happen.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// An output that asks a test what shall become of each write.
    struct Asking {
        asked: Sender<Vec<u8>>,
        answers: Receiver<io::Result<usize>>,
    }

    impl Write for Asking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A test that has ended takes everything.
            let _ = self.asked.send(bytes.to_vec());
            self.answers.recv().unwrap_or(Ok(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue, and the other end of its output.
    struct Tried {
        queue: Arc<Queue>,
        writes: Receiver<Vec<u8>>,
        answers: Sender<io::Result<usize>>,
    }

    impl Tried {
        fn new() -> Self {
            let (asked, writes) = channel();
            let (answers, answered) = channel();
            let output = Asking {
                asked,
                answers: answered,
            };
            let (tell, told) = channel();
            let queue = Queue::start(output, {
                let queue: Receiver<Arc<Queue>> = told;
                let cell = std::sync::OnceLock::new();
                move |lines| {
                    let queue = cell.get_or_init(|| queue.recv().unwrap());
                    let line = format!("{lines} dropped\n");
                    queue.push(Importance::Highest, line.as_bytes());
                }
            });
            tell.send(Arc::clone(&queue)).unwrap();
            Self {
                queue,
                writes,
                answers,
            }
        }

        fn push(&self, importance: Importance, line: &str) {
            self.queue.push(importance, line.as_bytes());
        }

        /// What is to be written now.
        fn next_write(&self) -> String {
            String::from_utf8(self.writes.recv_timeout(PATIENCE).unwrap()).unwrap()
        }

        /// What is to be written now, which then is.
        fn next_written(&self) -> String {
            let text = self.next_write();
            self.answers.send(Ok(text.len())).unwrap();
            text
        }

        /// Everything that is written until nothing waits any more.
        fn all_written(self) -> String {
            drop(self.answers);
            self.queue.flush(PATIENCE);
            let all: Vec<u8> = self.writes.try_iter().flatten().collect();
            String::from_utf8(all).unwrap()
        }
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let tried = Tried::new();
        let lines: Vec<String> = (0..10_000).map(|number| format!("{number}\n")).collect();
        for line in &lines {
            tried.push(Importance::Low, line);
        }
        assert_eq!(tried.all_written(), lines.concat());
    }

    #[test]
    fn a_write_has_whole_lines_and_fits_into_a_pipe() {
        let long = "x".repeat(2 * PIECE) + "\n";
        let short = "y".repeat(PIECE / 2) + "\n";
        for (lines, piece) in [
            (short.clone(), short.len()),
            (short.repeat(2), short.len()),
            (short.clone() + &long, short.len()),
            (long.clone() + &short, long.len()),
            ("x\n".repeat(PIECE), PIECE),
            ("no end".to_owned(), 6),
        ] {
            assert_eq!(piece_of(lines.as_bytes()), piece);
        }
    }

    #[test]
    fn beyond_the_bound_lines_are_dropped_and_counted_the_important_ones_last() {
        let tried = Tried::new();
        tried.push(Importance::Low, "stuck\n");
        assert_eq!(tried.next_write(), "stuck\n");
        let line = "x".repeat(1023) + "\n";
        for _ in 0..CAPACITY / line.len() {
            tried.push(Importance::Low, &line);
        }
        tried.push(Importance::High, "audit\n");
        {
            let state = tried.queue.lock();
            let bytes = state.waiting.len() + state.in_flight;
            assert!(bytes > CAPACITY / 2 - 1024 && bytes < CAPACITY / 2 + 1024);
            assert_eq!(state.dropped, CAPACITY / line.len() / 2 + 1);
        }
        for _ in 0..CAPACITY / line.len() {
            tried.push(Importance::High, &line);
        }
        assert!(tried.queue.lock().waiting.len() <= CAPACITY);
        let dropped = tried.queue.lock().dropped;
        assert!(dropped > CAPACITY / line.len());

        tried.answers.send(Ok(6)).unwrap();
        let written = tried.all_written();
        assert!(written.contains("\naudit\n"));
        let told = format!("\n{dropped} dropped\n");
        assert!(
            written.ends_with(&told),
            "{}",
            &written[written.len() - 100..]
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_of_later_without_trying_on_and_on() {
        let full = || Err(io::Error::from(ErrorKind::StorageFull));
        let tried = Tried::new();
        tried.push(Importance::Low, "one\ntwo\n");
        assert_eq!(tried.next_write(), "one\ntwo\n");
        // The disk takes a part of the second line.
        tried.answers.send(Ok(6)).unwrap();
        assert_eq!(tried.next_write(), "o\n");
        tried.answers.send(full()).unwrap();
        let pause = tried.writes.recv_timeout(Duration::from_millis(100));
        assert!(pause.is_err(), "{pause:?}");

        // Ends the torn line first.
        tried.push(Importance::Low, "three\n");
        assert_eq!(tried.next_write(), "\n");
        tried.answers.send(full()).unwrap();
        tried.push(Importance::Low, "four\n");
        assert_eq!(tried.next_written(), "\n");
        assert_eq!(tried.next_write(), "four\n2 dropped\n");
        tried.answers.send(full()).unwrap();
        tried.push(Importance::Low, "five\n");
        assert_eq!(tried.all_written(), "five\n3 dropped\n");
    }

    #[test]
    fn an_output_that_is_interrupted_or_full_for_now_is_tried_again() {
        let tried = Tried::new();
        tried.push(Importance::Low, "one\n");
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock] {
            assert_eq!(tried.next_write(), "one\n");
            tried.answers.send(Err(kind.into())).unwrap();
        }
        assert_eq!(tried.all_written(), "one\n");
    }

    #[test]
    fn the_end_does_not_wait_for_an_output_that_is_stuck() {
        let tried = Tried::new();
        tried.push(Importance::Low, "stuck\n");
        assert_eq!(tried.next_write(), "stuck\n");
        tried.queue.flush(Duration::from_millis(50));
        assert!(tried.queue.lock().in_flight > 0);
    }
}

//! Where lines go, and how they are dressed.

use std::io::{self, IsTerminal, Write};

use owo_colors::{OwoColorize, Stream};

/// A writer that goes quiet at its first error: when the reader of a pipe has gone, the run goes on,
/// and there is nobody left to tell.
pub(super) struct Out {
    sink: Box<dyn Write + Send>,
    closed: bool,
}

impl Out {
    pub(super) fn new(sink: Box<dyn Write + Send>) -> Self {
        Self { sink, closed: false }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(b"\n");
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if !self.closed {
            let written = self.sink.write_all(bytes).and_then(|()| self.sink.flush());
            self.closed = written.is_err();
        }
    }
}

/// What a text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// Of minor weight.
    Faint,
    /// A heading, a stage.
    Strong,
    /// As hoped for.
    Good,
    /// To be looked at: a fault at work, a warning.
    Notable,
    /// Lost, broken, failed.
    Bad,
}

/// Whether tones become colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) colour: bool,
}

impl Style {
    /// As the stream's terminal and the environment (NO_COLOR, TERM, CI) want it.
    pub(super) fn of(stream: Stream) -> Self {
        // The only question owo-colors answers is "how does this text look there?".
        let bold = "".if_supports_color(stream, |text| text.bold()).to_string();
        Self { colour: !bold.is_empty() }
    }

    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Faint => text.dimmed().to_string(),
            Tone::Strong => text.bold().to_string(),
            Tone::Good => text.green().to_string(),
            Tone::Notable => text.yellow().to_string(),
            Tone::Bad => text.red().bold().to_string(),
        }
    }
}

/// Whether lines on this stream may be drawn over again.
pub(super) fn may_redraw(stream: Stream) -> bool {
    let terminal = match stream {
        Stream::Stdout => io::stdout().is_terminal(),
        Stream::Stderr => io::stderr().is_terminal(),
    };
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    terminal && !dumb && !set("CI") && !set("NO_COLOR")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Gone(Arc<AtomicUsize>);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_the_output_quietly() {
        let tries = Arc::new(AtomicUsize::new(0));
        let mut out = Out::new(Box::new(Gone(Arc::clone(&tries))));
        out.line("one");
        out.line("two");
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn without_colour_no_tone_leaves_a_trace() {
        let style = Style { colour: false };
        for tone in [Tone::Faint, Tone::Strong, Tone::Good, Tone::Notable, Tone::Bad] {
            assert_eq!(style.paint(tone, "lost"), "lost");
        }
    }
}

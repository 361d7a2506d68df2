//! How problems with the input reach a person: on stderr, in colour only on a terminal.

use std::io::{self, IsTerminal, Write};

use crate::experiment::Problems;

/// Exit code for bad input or usage.
pub const BAD_INPUT: u8 = 3;

/// Columns for everything that is laid out.
pub const WIDTH: usize = 100;

/// Prints the problems and gives the exit code that goes with them.
pub fn show(problems: &Problems) -> u8 {
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let count = problems.0.len();
    let mut text = problems.render(colour, WIDTH);
    if count > 1 {
        text.push_str(&format!("\n{count} problems; nothing was started\n"));
    }
    // With stderr closed there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
    BAD_INPUT
}

/// Writes a finished text to stdout. A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// If stdout can't be written.
pub fn write_out(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

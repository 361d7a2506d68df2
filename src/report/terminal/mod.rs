//! People's view of a run: lines as things happen, and the account at the end.
//!
//! On a terminal, lines scroll by above a foot that is drawn over again (`bars`). Anywhere else, and
//! under CI, NO_COLOR or TERM=dumb, every line stays as written and counts come every five seconds.

mod ablations;
mod account;
mod bars;
mod causes;
mod check;
mod closing;
mod counts;
mod grid;
mod matrix;
mod narrate;
mod out;
mod summary;
mod tally;
mod times;
pub(super) mod words;

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::Table;
use indicatif::ProgressDrawTarget;
use lossproof_ledger::event::{Event, EventKind};
use owo_colors::Stream;

use bars::Bars;
use grid::verdict_word;
use narrate::Narrator;
use out::{Out, Style, Tone, may_redraw};
pub use summary::{Ending, Summary};
use tally::Tally;

use super::account::JudgedAccount;
use super::check::CheckReport;
use super::matrix::Matrix;
use super::model::Report;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// `live` on a terminal, `plain` elsewhere.
    #[default]
    Auto,
    /// Lines above a foot that is drawn over again. `plain` where that is not possible.
    Live,
    /// Lines that stay as written.
    Plain,
    /// `report.json` on standard output, all else on standard error.
    Json,
}

/// Columns where the terminal's own number is not known, or said to be 0 as some pseudo-terminals do.
const WIDTH: u16 = 100;

/// Between two progress lines of plain output.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Shows events as they come, and reports at the end. Never fails: output that nobody reads any
/// more is dropped.
pub struct Terminal {
    out: Out,
    /// Where `report.json` goes, if it is asked for.
    json: Option<Out>,
    style: Style,
    width: u16,
    bars: Option<Bars>,
    narrator: Narrator,
    tally: Tally,
    last_progress: Duration,
}

impl Terminal {
    /// A terminal on the process' own streams.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let stream = match output {
            Output::Json => Stream::Stderr,
            Output::Auto | Output::Live | Output::Plain => Stream::Stdout,
        };
        let (sink, target): (Box<dyn io::Write + Send>, _) = match stream {
            Stream::Stdout => (Box::new(io::stdout()), ProgressDrawTarget::stdout()),
            Stream::Stderr => (Box::new(io::stderr()), ProgressDrawTarget::stderr()),
        };
        let live = match output {
            Output::Plain => false,
            Output::Live => !target.is_hidden(),
            Output::Auto | Output::Json => may_redraw(stream),
        };
        Self {
            bars: live.then(|| Bars::new(target)),
            json: (output == Output::Json).then(|| Out::new(Box::new(io::stdout()))),
            width: width(stream),
            ..Self::styled(sink, Style::of(stream))
        }
    }

    /// Plain lines without colour into any sink.
    #[must_use]
    pub fn plain(sink: Box<dyn io::Write + Send>) -> Self {
        Self::styled(sink, Style { colour: false })
    }

    fn styled(sink: Box<dyn io::Write + Send>, style: Style) -> Self {
        Self {
            out: Out::new(sink),
            json: None,
            style,
            width: WIDTH,
            bars: None,
            narrator: Narrator::default(),
            tally: Tally::default(),
            last_progress: Duration::ZERO,
        }
    }

    /// Shows one event.
    pub fn event(&mut self, event: &Event) {
        let line = self.narrator.tell(event);
        let since_start = self.narrator.since_start(event);
        match &event.kind {
            EventKind::RunStarted { .. } => {
                self.tally = Tally::default();
                self.last_progress = Duration::ZERO;
            }
            EventKind::PartStarted { .. } => self.tally = Tally::default(),
            EventKind::ClientProgress { client, progress } => self.tally.update(client, progress),
            EventKind::ClientEnded { client, .. } => self.tally.ended(client),
            _ => {}
        }
        if let Some(line) = line {
            self.line(since_start, line.tone, &line.text);
        }
        match &mut self.bars {
            Some(bars) => bars.event(event, &self.narrator, &self.tally),
            None => self.progress(event, since_start),
        }
    }

    /// Shows the report of a judged run, which is stored with it.
    pub fn report(&mut self, report: &Report, run_dir: &Path) {
        self.show(report, format!("stored in {}", run_dir.display()));
    }

    /// Shows the report of a run that was judged by other expectations than its own, and is not stored.
    pub fn report_apart(&mut self, report: &Report, run_dir: &Path) {
        let stored = run_dir.join(super::model::REPORT);
        self.show(report, format!("not stored: {} stays as it is (--write replaces it)", stored.display()));
    }

    fn show(&mut self, report: &Report, stored: String) {
        self.rest();
        self.out.line("");
        self.out.line(&counts::table(report, self.style, self.width));
        for line in closing::lines(report, stored, self.style, self.width) {
            self.out.line(&line);
        }
        if let Some(json) = &mut self.json
            && let Ok(bytes) = report.to_json()
        {
            json.bytes(&bytes);
        }
    }

    /// Shows the account of an import; of its ranges, the `ranges` largest.
    pub fn account(&mut self, judged: &JudgedAccount<'_>, ranges: usize) {
        for line in account::lines(judged, ranges, self.style, self.width) {
            self.out.line(&line);
        }
        if let Some(json) = &mut self.json
            && let Ok(bytes) = judged.to_json()
        {
            json.bytes(&bytes);
        }
    }

    /// Shows what was found in a cluster and a client.
    pub fn check(&mut self, report: &CheckReport) {
        for line in check::lines(report, self.style, self.width) {
            self.out.line(&line);
        }
        if let Some(json) = &mut self.json
            && let Ok(bytes) = report.to_json()
        {
            json.bytes(&bytes);
        }
    }

    /// Takes the foot off a live terminal, so that others may write below what was shown.
    pub fn rest(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }

    /// A line between experiments.
    pub fn say(&mut self, text: &str) {
        self.rest();
        let line = self.style.paint(Tone::Notable, text);
        self.out.line(&line);
    }

    /// Tells of a report that is taken over from an earlier run, without all of it.
    pub fn taken_over(&mut self, report: &Report, run_dir: &Path) {
        self.rest();
        let (tone, word) = verdict_word(report.verdict);
        let verdict = self.style.paint(tone, word);
        self.out.line(&format!("{verdict}  {}, taken over from {}", report.experiment, run_dir.display()));
    }

    /// Shows how several experiments ended.
    pub fn summary(&mut self, experiments: &[Summary<'_>]) {
        self.rest();
        self.out.line("");
        self.out.line(&summary::table(experiments, self.style, self.width));
    }

    /// Shows what hazards did to each profile.
    pub fn matrix(&mut self, matrix: &Matrix) {
        self.rest();
        self.out.line("");
        for line in matrix::lines(matrix, self.style, self.width) {
            self.out.line(&line);
        }
    }

    fn progress(&mut self, event: &Event, since_start: Duration) {
        let counted = matches!(event.kind, EventKind::ClientProgress { .. });
        if !counted || since_start.saturating_sub(self.last_progress) < PROGRESS_EVERY {
            return;
        }
        self.last_progress = since_start;
        for (profile, sums) in self.tally.profiles() {
            let text = format!("{} {profile}: {}", words::offset(since_start), sums.sentence());
            self.out.line(&self.style.paint(Tone::Faint, &text));
        }
    }

    fn line(&mut self, since_start: Duration, tone: Tone, text: &str) {
        let time = self.style.paint(Tone::Faint, &words::offset(since_start));
        let line = format!("{time} {}", self.style.paint(tone, text));
        match &self.bars {
            Some(bars) => bars.line(&line),
            None => self.out.line(&line),
        }
    }
}

/// Columns of the stream's terminal.
fn width(stream: Stream) -> u16 {
    let mut table = Table::new();
    if matches!(stream, Stream::Stderr) {
        table.use_stderr();
    }
    table.width().filter(|width| *width > 0).unwrap_or(WIDTH)
}

#[cfg(test)]
pub(super) mod tests;

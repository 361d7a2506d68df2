//! The lines at the foot of a live terminal: the phase, each profile's counts, the faults held.

use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lossproof_ledger::event::{Event, EventKind};

use super::narrate::Narrator;
use super::tally::Tally;
use super::words;

/// Often enough for a countdown in tenths of a second.
const REDRAW: Duration = Duration::from_millis(100);

pub(super) struct Bars {
    all: MultiProgress,
    phase: Option<ProgressBar>,
    profiles: IndexMap<String, ProgressBar>,
    faults: IndexMap<usize, ProgressBar>,
}

/// However the run ends, the foot does not stay behind.
impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Bars {
    pub(super) fn new(target: ProgressDrawTarget) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            phase: None,
            profiles: IndexMap::new(),
            faults: IndexMap::new(),
        }
    }

    /// Prints a line above the bars, where it stays.
    pub(super) fn line(&self, text: &str) {
        // Fails only when the terminal has gone; the run goes on without it.
        let _ = self.all.println(text);
    }

    pub(super) fn event(&mut self, event: &Event, narrator: &Narrator, tally: &Tally) {
        match &event.kind {
            EventKind::PhaseStarted { phase, expected_ms } => {
                self.start_phase(phase.to_string(), *expected_ms);
            }
            EventKind::ClientProgress { .. } => self.count(tally),
            EventKind::FaultInjected { fault, held_ms, .. } => {
                let text = format!("{} on {}", narrator.fault(*fault), narrator.target(*fault));
                self.hold(*fault, text, *held_ms);
            }
            EventKind::FaultHealed { fault, .. } => {
                if let Some(bar) = self.faults.shift_remove(fault) {
                    bar.finish_and_clear();
                }
            }
            EventKind::RunEnded | EventKind::Interrupted { .. } => self.clear_counts(),
            _ => {}
        }
    }

    /// Takes everything off the terminal but the lines printed above.
    pub(super) fn clear(&mut self) {
        self.clear_counts();
        if let Some(bar) = self.phase.take() {
            bar.finish_and_clear();
        }
    }

    fn clear_counts(&mut self) {
        let faults = self.faults.drain(..).map(|(_, bar)| bar);
        let profiles = self.profiles.drain(..).map(|(_, bar)| bar);
        for bar in faults.chain(profiles) {
            bar.finish_and_clear();
        }
    }

    fn start_phase(&mut self, name: String, expected_ms: Option<u64>) {
        if let Some(bar) = self.phase.take() {
            bar.finish_and_clear();
        }
        let template = match expected_ms {
            Some(_) => "{spinner} {msg} {elapsed_of_plan}",
            None => "{spinner} {msg} {elapsed_s}",
        };
        let style = styled(template)
            .with_key("elapsed_s", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1} s", state.elapsed().as_secs_f64());
            })
            .with_key("elapsed_of_plan", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let planned = words::millis(expected_ms.unwrap_or_default());
                let _ = write!(out, "{:.1} s of {planned}", state.elapsed().as_secs_f64());
            });
        let bar = self.all.insert(0, ProgressBar::new_spinner().with_style(style));
        bar.set_message(name);
        bar.enable_steady_tick(REDRAW);
        self.phase = Some(bar);
    }

    fn count(&mut self, tally: &Tally) {
        let profiles = tally.profiles();
        let width = profiles.keys().map(|name| name.len()).max().unwrap_or_default();
        for (name, sums) in &profiles {
            let bar = self
                .profiles
                .entry((*name).to_owned())
                .or_insert_with(|| self.all.add(ProgressBar::new_spinner().with_style(styled("  {wide_msg}"))));
            bar.set_message(format!("{name:width$}  {}", sums.sentence()));
        }
    }

    fn hold(&mut self, fault: usize, text: String, held_ms: Option<u64>) {
        let template = match held_ms {
            Some(_) => "! {msg}, {left}",
            None => "! {msg}, at work",
        };
        let held = Duration::from_millis(held_ms.unwrap_or_default());
        let style = styled(template).with_key("left", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = held.saturating_sub(state.elapsed());
            let _ = write!(out, "healed in {:.1} s", left.as_secs_f64());
        });
        let bar = self.all.add(ProgressBar::new_spinner().with_style(style));
        bar.set_message(text);
        bar.enable_steady_tick(REDRAW);
        self.faults.insert(fault, bar);
    }
}

/// Templates are ours and literal; a bad one shows as indicatif's own default.
fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

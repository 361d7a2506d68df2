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
            EventKind::PartStarted { .. } | EventKind::RunEnded | EventKind::Interrupted { .. } => self.clear_counts(),
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;
    use lossproof_ledger::clock::Stamp;
    use lossproof_ledger::event::{ClientId, Phase, Progress, Proof, Role};

    use super::*;

    /// A terminal that keeps all that was ever drawn.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn take(&self) -> String {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn event(kind: EventKind) -> Event {
        Event::now(kind)
    }

    fn proof() -> Proof {
        Proof { holds: true, summary: "14 packets dropped".to_owned(), evidence: serde_json::Map::new() }
    }

    #[test]
    fn the_foot_shows_phase_counts_and_countdown_and_goes_with_them() {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
        let mut bars = Bars::new(target);
        let mut narrator = Narrator::default();
        let mut tally = Tally::default();
        let client = ClientId { profile: "baseline".to_owned(), role: Role::Producer, member: 0, incarnation: 0 };
        let progress = Progress::Producer { offered: 1_200, acked: 1_100, errors: 7, in_flight: 93 };
        tally.update(&client, &progress);
        narrator.tell(&event(EventKind::FaultResolved {
            fault: 0,
            kind: "partition".to_owned(),
            brokers: vec![2],
            clients: Vec::new(),
            basis: String::new(),
            same_for_all: true,
        }));
        for kind in [
            EventKind::PhaseStarted { phase: Phase::Faults, expected_ms: Some(25_000) },
            EventKind::ClientProgress { client, progress },
            EventKind::FaultInjected { fault: 0, called_at: Stamp::now(), proof: proof(), held_ms: Some(20_000) },
        ] {
            bars.event(&event(kind), &narrator, &tally);
        }
        bars.line("a line that stays");
        let drawn = screen.take();
        assert!(drawn.contains("faults 0."), "{drawn}");
        assert!(drawn.contains("of 25 s"), "{drawn}");
        assert!(drawn.contains("baseline  offered 1,200, acked 1,100, errors 7"), "{drawn}");
        assert!(drawn.contains("! fault 1 (partition) on broker 2, healed in "), "{drawn}");
        assert!(drawn.contains("a line that stays"), "{drawn}");

        let healed = EventKind::FaultHealed { fault: 0, called_at: Stamp::now(), proof: proof() };
        bars.event(&event(healed), &narrator, &tally);
        screen.take();
        bars.line("after the heal");
        let drawn = screen.take();
        assert!(drawn.contains("baseline") && !drawn.contains("healed in"), "{drawn}");

        bars.clear();
        screen.take();
        bars.line("at the end");
        let drawn = screen.take();
        assert!(!drawn.contains("baseline") && !drawn.contains("faults"), "{drawn}");
    }
}

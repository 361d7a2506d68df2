//! Whose turn it is: faults in their groups, each at its time or after the one that it waits for.

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::experiment::{After, FaultSpec, Moment, schedule};

/// What is done with faults when their turn has come.
pub(super) trait Actor {
    /// One fault from when it is due to its healing, its moments told. False if it was not applied.
    async fn act(&self, fault: usize, due: Instant, moments: &Moments) -> Result<bool>;

    /// Tells of a fault whose turn never comes.
    fn pass_over(&self, fault: usize, why: String) -> Result<()>;

    /// Awaits that the cluster has recovered from these, and tells of which it has. Whether no faults follow is `last`.
    async fn recover(&self, faults: &[usize], last: bool, moments: &Moments) -> Result<()>;
}

/// Plays all faults, `zero` being the end of warm-up. After each group recovery is awaited.
pub(super) async fn play(faults: &[FaultSpec], zero: Instant, actor: &impl Actor) -> Result<()> {
    let moments = Moments::of(faults.len());
    let groups = schedule::groups(faults);
    for (n, group) in groups.iter().enumerate() {
        let turns = group.iter().map(async |&fault| {
            let applied = turn(fault, faults, zero, actor, &moments).await?;
            moments.over(fault);
            anyhow::Ok(applied.then_some(fault))
        });
        let applied: Vec<usize> = try_join_all(turns).await?.into_iter().flatten().collect();
        if !applied.is_empty() {
            actor.recover(&applied, n + 1 == groups.len(), &moments).await?;
        }
    }
    Ok(())
}

async fn turn(
    fault: usize,
    faults: &[FaultSpec],
    zero: Instant,
    actor: &impl Actor,
    moments: &Moments,
) -> Result<bool> {
    let spec = &faults[fault];
    let since = match spec.after {
        None => zero,
        Some(after) => match moments.awaited(after).await {
            Some(moment) => moment,
            None => {
                let why = format!("it was to come after {after}, and that did not happen");
                actor.pass_over(fault, why)?;
                return Ok(false);
            }
        },
    };
    actor.act(fault, since + spec.at, moments).await
}

/// When each fault came to what others wait for.
#[derive(Debug)]
pub(super) struct Moments(watch::Sender<Vec<Past>>);

#[derive(Debug, Clone, Default)]
struct Past {
    came: Vec<(Moment, Instant)>,
    /// Neither its injection nor its healing is still to come.
    over: bool,
}

impl Moments {
    fn of(faults: usize) -> Self {
        Self(watch::Sender::new(vec![Past::default(); faults]))
    }

    /// Notes that it is now.
    pub(super) fn came(&self, fault: usize, moment: Moment) {
        self.0.send_modify(|all| all[fault].came.push((moment, Instant::now())));
    }

    fn over(&self, fault: usize) {
        self.0.send_modify(|all| all[fault].over = true);
    }

    /// When it was; none when it can't be any more. Recovery is not waited for: it is known between two groups.
    async fn awaited(&self, after: After) -> Option<Instant> {
        let when = |all: &[Past]| all[after.fault].came.iter().find(|(moment, _)| *moment == after.moment).map(|x| x.1);
        let mut watch = self.0.subscribe();
        let all = watch.wait_for(|all| when(all).is_some() || all[after.fault].over).await.ok()?;
        when(&all)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anyhow::Result;
    use tokio::time::{Instant, sleep_until};

    use super::{Actor, Moments, play};
    use crate::experiment::{self, FaultSpec, Held, Moment};

    /// What a fault does is no matter here.
    const CUT: &str = "partition: { isolate: { broker: 1 }, from: brokers }";

    fn faults(times: &[&str]) -> Vec<FaultSpec> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sample.yaml");
        let head = "name: sample\nworkload: { rate: 1/s, payload: 1KiB }\nprofiles: { own: {} }\nfaults:\n";
        let entries: String = times.iter().map(|time| format!("- {{ {time}, {CUT} }}\n")).collect();
        std::fs::write(&file, format!("{head}{entries}")).unwrap();
        experiment::load(&[file]).unwrap().remove(0).faults
    }

    /// Faults that hold for their time, and do nothing.
    struct Stage {
        faults: Vec<FaultSpec>,
        told: Mutex<Vec<String>>,
        /// One that hits nobody.
        misses: Option<usize>,
        recovers: bool,
    }

    impl Stage {
        fn of(times: &[&str]) -> Self {
            Self { faults: faults(times), told: Mutex::default(), misses: None, recovers: true }
        }

        fn tell(&self, text: String) {
            self.told.lock().unwrap().push(text);
        }

        async fn played(self) -> Vec<String> {
            play(&self.faults, Instant::now(), &self).await.unwrap();
            self.told.into_inner().unwrap()
        }
    }

    impl Actor for Stage {
        async fn act(&self, fault: usize, due: Instant, moments: &Moments) -> Result<bool> {
            sleep_until(due).await;
            if self.misses == Some(fault) {
                self.tell(format!("{fault} hits nobody"));
                return Ok(false);
            }
            self.tell(format!("{fault} injected"));
            moments.came(fault, Moment::Injected);
            let held = self.faults[fault].held.and_then(Held::duration).unwrap();
            sleep_until(Instant::now() + held).await;
            self.tell(format!("{fault} healed"));
            moments.came(fault, Moment::Healed);
            Ok(true)
        }

        fn pass_over(&self, fault: usize, why: String) -> Result<()> {
            self.tell(format!("{fault} passed over: {why}"));
            Ok(())
        }

        async fn recover(&self, faults: &[usize], last: bool, moments: &Moments) -> Result<()> {
            self.tell(format!("{faults:?} waited for{}", if last { ", the last" } else { "" }));
            faults.iter().filter(|_| self.recovers).for_each(|&fault| moments.came(fault, Moment::Recovered));
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_comes_after_the_one_that_it_waits_for() {
        let times = [
            "at: 0s, for: 200ms",
            "after: injected, for: 1ms",
            "after: healed, at: 1ms, for: 1ms",
            "after: recovered, for: 1ms",
            "after: recovered, at: 1ms, every: 2ms, times: 2, for: 1ms",
        ];
        assert_eq!(
            Stage::of(&times).played().await,
            [
                "0 injected",
                "1 injected",
                "1 healed",
                "2 injected",
                "2 healed",
                "0 healed",
                "[0, 1, 2] waited for",
                "3 injected",
                "3 healed",
                "[3] waited for",
                "4 injected",
                "4 healed",
                "[4] waited for",
                "5 injected",
                "5 healed",
                "[5] waited for, the last",
            ]
        );
    }

    #[tokio::test]
    async fn what_waits_for_one_that_hit_nobody_is_passed_over() {
        let times =
            ["at: 0s, for: 1ms", "after: injected, for: 1ms", "after: recovered, for: 1ms", "at: 20ms, for: 1ms"];
        let stage = Stage { misses: Some(0), ..Stage::of(&times) };
        assert_eq!(
            stage.played().await,
            [
                "0 hits nobody",
                "1 passed over: it was to come after fault 1 is injected, and that did not happen",
                "2 injected",
                "2 healed",
                "[2] waited for",
                "3 passed over: it was to come after fault 2 has recovered, and that did not happen",
            ]
        );
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_recover_stops_only_what_waits_for_that() {
        let times = ["at: 0s, for: 1ms", "after: recovered, for: 1ms", "at: 2ms, for: 1ms", "after: healed, for: 1ms"];
        let stage = Stage { recovers: false, ..Stage::of(&times) };
        assert_eq!(
            stage.played().await,
            [
                "0 injected",
                "0 healed",
                "[0] waited for",
                "1 injected",
                "1 healed",
                "2 injected",
                "2 healed",
                "[1, 2] waited for",
                "3 passed over: it was to come after fault 1 has recovered, and that did not happen",
            ]
        );
    }
}

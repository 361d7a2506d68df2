//! The rules: each looks at the case and adds its reasons.

use super::words::{asked, found, list, unmeasured};
use super::{Case, FaultOutcome, Judgement, ProfileOutcome, Promise, Reason, ReasonKind, Verdict};
use crate::metric::{Comparison, Holds, Known, Metric};
use crate::reconcile::ANY_PARTITION;

pub(super) struct Judge<'a> {
    case: &'a Case,
    reasons: Vec<Reason>,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(case: &'a Case) -> Self {
        Self { case, reasons: Vec::new() }
    }

    pub(super) fn judge(mut self) -> Judgement {
        self.stopped();
        for fault in &self.case.faults {
            self.fault(fault);
        }
        for profile in self.case.profiles.iter().filter(|profile| profile.is_judged) {
            self.deserted(profile);
            self.witnesses(profile);
            self.resumed(profile);
            self.contradicted(profile);
            self.lag(profile);
            self.implicit_promises(profile);
        }
        self.exposure();
        for promise in &self.case.promises.must_show {
            self.must_show(promise);
        }
        for promise in &self.case.promises.must_hold {
            self.must_hold(promise);
        }

        let has = |test: fn(ReasonKind) -> bool| self.reasons.iter().any(|r| test(r.kind));
        let verdict = if has(|kind| kind == ReasonKind::Broken) {
            Verdict::Fail
        } else if has(|kind| kind < ReasonKind::Shown) {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        if verdict == Verdict::Pass {
            if self.reasons.is_empty() {
                let text = "Nothing was promised, and nothing is in the log that should not be.";
                self.add(ReasonKind::Held, None, text.to_owned());
            }
        } else {
            self.reasons.retain(|r| r.kind < ReasonKind::Shown);
        }
        // Stable: within a kind, in the order of the experiment.
        self.reasons.sort_by_key(|reason| reason.kind);
        Judgement { verdict, reasons: self.reasons }
    }

    fn add(&mut self, kind: ReasonKind, profile: Option<&str>, text: String) {
        self.reasons.push(Reason { kind, profile: profile.map(str::to_owned), text });
    }

    fn stopped(&mut self) {
        if let Some(by) = &self.case.stopped_by {
            let text = format!("The run was stopped before its end by {by}.");
            self.add(ReasonKind::Stopped, None, text);
        }
    }

    fn fault(&mut self, fault: &FaultOutcome) {
        let name = self.fault_name(fault);
        match &fault.injected {
            Some(proof) if proof.holds => {}
            Some(proof) => {
                let text = format!("The {name} is not proven to have bitten: {}", proof.summary);
                self.add(ReasonKind::FaultUnproven, fault.profile.as_deref(), text);
            }
            None => {
                let chose_nobody = fault.brokers.is_empty() && fault.clients.is_empty();
                let why = match &fault.passed_over {
                    Some(why) => why,
                    None if chose_nobody => "its selector chose no broker",
                    None => "the run ended before it",
                };
                let text = format!("The {name} was never injected: {why}.");
                self.add(ReasonKind::FaultUnproven, fault.profile.as_deref(), text);
                return;
            }
        }
        if let Some(proof) = fault.healed.as_ref().filter(|proof| !proof.holds) {
            let text = format!("The {name} is not proven to be healed: {}", proof.summary);
            self.add(ReasonKind::HealUnproven, fault.profile.as_deref(), text);
        }
        match &fault.recovered {
            Some(recovery) if recovery.reached => {}
            Some(recovery) => {
                let text = format!("The cluster did not recover from the {name}: {}", recovery.state);
                self.add(ReasonKind::NotRecovered, fault.profile.as_deref(), text);
            }
            None => {
                let text = format!("Nobody saw the cluster recover from the {name}.");
                self.add(ReasonKind::NotRecovered, fault.profile.as_deref(), text);
            }
        }
        if !fault.same_for_all {
            let text = format!(
                "The {name} did not hit all profiles alike: its selector meant different brokers for \
                 their topics."
            );
            self.add(ReasonKind::SelectorDiffers, fault.profile.as_deref(), text);
        }
    }

    /// Such as `partition fault`, with its place in the schedule where there are several.
    fn fault_name(&self, fault: &FaultOutcome) -> String {
        let of = fault.profile.as_ref().map(|profile| format!(" of {profile}")).unwrap_or_default();
        match self.case.faults.iter().filter(|other| other.profile == fault.profile).count() {
            1 => format!("{} fault{of}", fault.kind),
            all => format!("{} fault{of} ({} of {all})", fault.kind, fault.fault + 1),
        }
    }

    /// What a client did not live to do shows nothing of its configuration. A run that was stopped took
    /// its clients with it.
    fn deserted(&mut self, outcome: &ProfileOutcome) {
        if self.case.stopped_by.is_none() {
            for client in &outcome.deserted {
                let text = format!("{client}, before it was asked to.");
                self.add(ReasonKind::Deserted, Some(&outcome.profile), text);
            }
        }
    }

    fn witnesses(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        // Messages that may lie in any partition are unread because one of the others is.
        for p in outcome.reconciliation.partitions.iter().filter(|p| p.partition != ANY_PARTITION) {
            if !p.audit_complete {
                let text = format!(
                    "{name}: partition {} could not be read from its start to its end, so that \
                     nothing can be said of {} of its {} messages.",
                    p.partition, p.counts.unreadable, p.counts.offered
                );
                self.add(ReasonKind::Unread, Some(name), text);
            }
        }
        if !outcome.reconciliation.journals_complete {
            let text = format!("{name}: a client's journal is missing or damaged.");
            self.add(ReasonKind::JournalIncomplete, Some(name), text);
        }
    }

    /// A profile of which something is expected for `resumed_within` is judged by that; one whose group is expected to
    /// lag may have come to stand still.
    fn resumed(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        if self.expects(name, Metric::ResumedWithin) {
            return;
        }
        // Of those that were alone, each has windows for its own faults.
        let met = self.case.faults.iter().filter(|fault| fault.profile.as_ref().is_none_or(|only| only == name));
        for (fault, window) in met.zip(&outcome.times.windows) {
            let resumption = &window.resumption;
            let silent =
                [("acknowledged", &resumption.unacked_partitions), ("processed", &resumption.unprocessed_partitions)];
            for (what, partitions) in silent {
                let may_lag = what == "processed" && self.expects(name, Metric::Count("lagging"));
                if !partitions.is_empty() && !may_lag {
                    let text = format!(
                        "{name}: nothing was {what} in {} after the cluster had recovered from \
                         the {}.",
                        list(partitions),
                        self.fault_name(fault)
                    );
                    self.add(ReasonKind::NotResumed, Some(name), text);
                }
            }
        }
    }

    fn contradicted(&mut self, outcome: &ProfileOutcome) {
        for difference in &outcome.contradicted {
            let text = format!("{}: {difference}.", outcome.profile);
            self.add(ReasonKind::Contradicted, Some(&outcome.profile), text);
        }
    }

    fn lag(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        let counts = &outcome.reconciliation.counts;
        let partitions = outcome.reconciliation.partitions.iter().filter(|p| p.partition != ANY_PARTITION);
        let positions_missing: Vec<_> = partitions.filter(|p| !p.position_known).map(|p| p.partition).collect();
        let unknown = match positions_missing.as_slice() {
            [] => String::new(),
            some => format!(", as far as is known: its position in {} is not", list(some)),
        };
        let lag = [
            ("lagging", counts.lagging, "the group has not come to"),
            ("behind_open_txn", counts.behind_open_txn, "an open transaction still hides"),
        ];
        for (metric, count, why) in lag {
            let expected = self.expects(name, Metric::Count("lagging")) || self.expects(name, Metric::Count(metric));
            if count > 0 && !expected {
                let text = format!("{name}: {count} messages are left that {why}{unknown}.");
                self.add(ReasonKind::LagLeft, Some(name), text);
            }
        }
    }

    /// What every profile promises unless it says otherwise. Where this cannot be decided, the
    /// witness that is missing is a reason of its own.
    fn implicit_promises(&mut self, outcome: &ProfileOutcome) {
        let mut promised = vec!["phantom", "corrupt", "processed_foreign", "torn_txn"];
        if outcome.read_committed {
            promised.push("aborted_reads");
        }
        for name in promised {
            let promise = Promise {
                profile: outcome.profile.clone(),
                metric: Metric::Count(name),
                comparison: Comparison::Equal,
                bound: 0,
            };
            if !self.expects(&promise.profile, promise.metric)
                && let Some(known) = known(outcome, &promise)
                && promise.holds(known) == Holds::No
            {
                let text = format!(
                    "{}{}, and 0 is promised by every profile that does not say otherwise.",
                    found(&promise, known),
                    self.places(&promise)
                );
                self.add(ReasonKind::Broken, Some(&promise.profile), text);
            }
        }
    }

    fn exposure(&mut self) {
        for (name, needed) in &self.case.promises.min_exposure {
            let exposed = self.outcome(name).map_or(0, |outcome| outcome.times.exposed);
            if exposed < *needed {
                let text = format!(
                    "{name}: {exposed} messages were on their way while the faults lasted, and \
                     {needed} are needed to prove anything."
                );
                self.add(ReasonKind::Exposure, Some(name), text);
            }
        }
    }

    fn must_show(&mut self, promise: &Promise) {
        if self.too_busy(promise) {
            return self.busy(promise);
        }
        let (known, holds) = self.look(promise);
        let asked = asked(promise);
        let (kind, text) = match (holds, known) {
            (Holds::Yes, Some(known)) => {
                (ReasonKind::Shown, format!("{}, and {asked} was to be shown.", found(promise, known)))
            }
            (_, Some(known)) => (
                ReasonKind::NotShown,
                format!("{}, and the run is proof of anything only with {asked}.", found(promise, known)),
            ),
            (_, None) => (ReasonKind::NotShown, format!("{}, and {asked} was to be shown.", unmeasured(promise))),
        };
        self.add(kind, Some(&promise.profile), text);
    }

    fn must_hold(&mut self, promise: &Promise) {
        if self.too_busy(promise) {
            return self.busy(promise);
        }
        let (known, holds) = self.look(promise);
        let asked = asked(promise);
        let (kind, text) = match (holds, known) {
            (Holds::Yes, Some(known)) => {
                (ReasonKind::Held, format!("{}, and {asked} was promised.", found(promise, known)))
            }
            (Holds::No, Some(known)) => (
                ReasonKind::Broken,
                format!("{}{}, but {asked} was promised.", found(promise, known), self.places(promise)),
            ),
            (Holds::Unknown, Some(known)) => (
                ReasonKind::Undecided,
                format!("{}, which neither proves nor refutes the {asked} that was promised.", found(promise, known)),
            ),
            (_, None) => (ReasonKind::Undecided, format!("{}, and {asked} was promised.", unmeasured(promise))),
        };
        self.add(kind, Some(&promise.profile), text);
    }

    /// Where a count that should be small comes from, such as ` (partition 0: 3, partition 2: 1)`.
    fn places(&self, promise: &Promise) -> String {
        let (Metric::Count(name), Some(outcome)) = (promise.metric, self.outcome(&promise.profile)) else {
            return String::new();
        };
        let places: Vec<_> = outcome
            .reconciliation
            .partitions
            .iter()
            .filter_map(|p| {
                let count = p.counts.get(name).filter(|count| *count > 0)?;
                Some(match p.partition {
                    ANY_PARTITION => format!("of no known partition: {count}"),
                    partition => format!("partition {partition}: {count}"),
                })
            })
            .collect();
        if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
    }

    fn too_busy(&self, promise: &Promise) -> bool {
        promise.metric.is_timed() && self.outcome(&promise.profile).is_some_and(|outcome| outcome.host_too_busy)
    }

    fn busy(&mut self, promise: &Promise) {
        let text = format!(
            "{}: {} cannot be judged, because this host was too busy to keep the offered rate.",
            promise.profile,
            promise.metric.name()
        );
        self.add(ReasonKind::HostTooBusy, Some(&promise.profile), text);
    }

    fn look(&self, promise: &Promise) -> (Option<Known>, Holds) {
        let known = self.outcome(&promise.profile).and_then(|outcome| known(outcome, promise));
        let holds = known.map_or(Holds::Unknown, |known| promise.holds(known));
        (known, holds)
    }

    fn outcome(&self, profile: &str) -> Option<&ProfileOutcome> {
        self.case.profiles.iter().find(|p| p.profile == profile)
    }

    fn expects(&self, profile: &str, metric: Metric) -> bool {
        let promises = &self.case.promises;
        promises.must_show.iter().chain(&promises.must_hold).any(|p| p.profile == profile && p.metric == metric)
    }
}

fn known(outcome: &ProfileOutcome, promise: &Promise) -> Option<Known> {
    promise.metric.known(&outcome.reconciliation, &outcome.times, outcome.gaps.as_ref())
}

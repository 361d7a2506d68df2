//! Logs of anyone's client: rows as clients write them, whole or damaged, plain or compressed, in any
//! order. An undamaged pair comes to exactly the totals that plain sets give; a damaged one is refused
//! with a reason, or balances. Nothing panics.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lossproof::import::{Error, Options, reconcile};
use lossproof_ledger::counts::Counts;

#[derive(Debug, Arbitrary)]
struct Input {
    produced: Vec<Produced>,
    consumed: Vec<Consumed>,
    partial: bool,
    harm: Option<Harm>,
    /// Instead of rows.
    raw: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Arbitrary)]
struct Produced {
    who: Who,
    status: Status,
    offset: Option<u8>,
}

#[derive(Debug, Arbitrary)]
struct Consumed {
    who: Who,
    offset: u8,
    processed: Option<bool>,
}

#[derive(Debug, Arbitrary, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    producer: Producer,
    partition: u8,
    sequence: Sequence,
}

#[derive(Debug, Arbitrary, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Producer {
    A,
    Odd,
}

#[derive(Debug, Arbitrary, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sequence {
    Near(u8),
    Any(u64),
}

/// From worst to best.
#[derive(Debug, Arbitrary, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Unsent,
    Failed,
    Indeterminate,
    Unconfirmed,
    Acked,
}

#[derive(Debug, Arbitrary)]
struct Harm {
    consumed: bool,
    at: u16,
    remove: u8,
    insert: Vec<u8>,
}

impl Who {
    fn sequence(self) -> u64 {
        match self.sequence {
            Sequence::Near(n) => n.into(),
            Sequence::Any(n) => n,
        }
    }

    fn partition(self) -> u8 {
        self.partition % 3
    }

    fn key(self) -> (Producer, u8, u64) {
        (self.producer, self.partition(), self.sequence())
    }

    fn json(self) -> String {
        let producer = match self.producer {
            Producer::A => "a",
            Producer::Odd => "\\u00fc \\\"\\n\\ud83d\\ude00",
        };
        format!("\"producer\":\"{producer}\",\"partition\":{},\"seq\":{}", self.partition(), self.sequence())
    }
}

fuzz_target!(|input: Input| {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (mut produced, mut consumed) = input.raw.clone().unwrap_or_else(|| (produced(&input), consumed(&input)));
    if let Some(harm) = &input.harm {
        let bytes = if harm.consumed { &mut consumed } else { &mut produced };
        let at = usize::from(harm.at) % (bytes.len() + 1);
        let to = (at + usize::from(harm.remove)).min(bytes.len());
        bytes.splice(at..to, harm.insert.iter().copied());
    }
    let options = Options {
        produced: vec![file(dir.path(), "p", &produced)],
        consumed: vec![file(dir.path(), "c", &consumed)],
        partial: input.partial,
        ..Options::default()
    };
    let spool = dir.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    match reconcile(&options, &spool) {
        Ok(account) => {
            let counts = account.reconciliation.counts;
            counts.check().unwrap();
            if input.harm.is_none() && input.raw.is_none() {
                compare(&input, &counts);
            }
        }
        Err(Error::Refused(refusal)) => {
            assert!(!refusal.to_string().is_empty());
            // Sides that name no producer in common are of different runs, or mistaken.
            let produced: BTreeSet<_> = input.produced.iter().map(|row| row.who.producer).collect();
            let strangers = !input.consumed.iter().any(|row| produced.contains(&row.who.producer));
            assert!(input.harm.is_some() || input.raw.is_some() || strangers, "{refusal}");
        }
        Err(other) => panic!("{other}"),
    }
});

/// What sets say of undamaged rows.
fn compare(input: &Input, counts: &Counts) {
    let mut told: BTreeMap<_, Status> = BTreeMap::new();
    for row in &input.produced {
        let best = told.entry(row.who.key()).or_insert(row.status);
        *best = row.status.max(*best);
    }
    let tolds = |status| told.values().filter(|told| **told == status).count() as u64;
    assert_eq!(counts.offered, told.len() as u64);
    assert_eq!(counts.acked, tolds(Status::Acked));
    assert_eq!(counts.unconfirmed, tolds(Status::Unconfirmed));
    assert_eq!(counts.failed, tolds(Status::Failed));
    assert_eq!(counts.indeterminate, tolds(Status::Indeterminate));
    assert_eq!(counts.unsent, tolds(Status::Unsent));

    let mut log: BTreeMap<(u8, u8), BTreeSet<_>> = BTreeMap::new();
    for row in &input.consumed {
        log.entry((row.who.partition(), row.offset)).or_default().insert(row.who.key());
    }
    if log.values().any(|there| there.len() > 1) {
        // Two messages at one offset: that partition can't be read, and all else is as cautious.
        return;
    }
    assert_eq!(counts.records_in_log, log.len() as u64);
    let landed: BTreeSet<_> = log.into_values().flatten().collect();
    let processed = input.consumed.iter().filter(|row| row.processed != Some(false)).map(|row| row.who.key());
    let processed: BTreeSet<_> = processed.collect();
    let count = |of: &dyn Fn(&(Producer, u8, u64)) -> bool| told.keys().filter(|key| of(key)).count() as u64;
    assert_eq!(counts.in_log, count(&|key| landed.contains(key)));
    assert_eq!(counts.delivered, count(&|key| processed.contains(key)));
    let absent = count(&|key| !landed.contains(key));
    if input.partial {
        assert_eq!(counts.lost, 0);
    } else {
        assert_eq!(counts.lost_in_cluster + counts.undelivered.total(), absent);
        let acked = count(&|key| told[key] == Status::Acked && !landed.contains(key));
        assert_eq!(counts.lost_in_cluster, acked);
    }
}

fn produced(input: &Input) -> Vec<u8> {
    let mut text = String::new();
    for Produced { who, status, offset } in &input.produced {
        let status = match status {
            Status::Unsent => "unsent",
            Status::Failed => "failed",
            Status::Indeterminate => "indeterminate",
            Status::Unconfirmed => "unconfirmed",
            Status::Acked => "acked",
        };
        let offset = offset.map(|offset| format!(",\"offset\":{offset}")).unwrap_or_default();
        writeln!(text, "{{{},\"status\":\"{status}\"{offset}}}", who.json()).unwrap();
    }
    text.into_bytes()
}

fn consumed(input: &Input) -> Vec<u8> {
    let mut text = String::new();
    for Consumed { who, offset, processed } in &input.consumed {
        let processed = processed.map(|processed| format!(",\"processed\":{processed}")).unwrap_or_default();
        writeln!(text, "{{{},\"offset\":{offset}{processed}}}", who.json()).unwrap();
    }
    text.into_bytes()
}

fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

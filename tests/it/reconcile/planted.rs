//! Random histories with planted anomalies, written as JSON lines in any order, over any number of
//! files, compressed or not: the accounts find exactly what was planted, by a count over plain lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lossproof::import::{Account, Options, reconcile};
use lossproof_ledger::category::{Category, Told};
use lossproof_ledger::counts::Counts;
use lossproof_ledger::reconcile::{Finding, Flag};
use proptest::prelude::*;

use super::{gzip, zstd};

const PRODUCERS: [&str; 3] = ["orders", "with \"quotes\" and ü", "7"];

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fate {
    told: Told,
    /// Told so once more, or something worse before.
    worse_before: bool,
    /// Copies in the log.
    copies: u8,
    /// Times that each copy was read; the first of them processed.
    processed: bool,
    read_again: u8,
    /// The ack names the offset after its own.
    wrong_offset: bool,
    /// Where it comes in the log: neighbours change places.
    late: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    let told = prop_oneof![
        8 => Just(Told::Acked),
        1 => Just(Told::Unconfirmed),
        1 => Just(Told::Indeterminate),
        1 => Just(Told::Failed),
        1 => Just(Told::Unsent),
    ];
    (
        told,
        prop::bool::weighted(0.1),
        prop_oneof![6 => Just(1_u8), 2 => Just(0), 1 => 2_u8..4],
        prop::bool::weighted(0.85),
        prop_oneof![8 => Just(0_u8), 1 => 1_u8..3],
        prop::bool::weighted(0.05),
        prop_oneof![8 => Just(0_u32), 1 => 1_u32..40],
    )
        .prop_map(|(told, worse_before, copies, processed, read_again, wrong_offset, late)| Fate {
            told,
            worse_before,
            copies,
            processed,
            read_again,
            wrong_offset,
            late,
        })
}

/// How sequences are numbered.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Dense,
    Sparse,
    Huge,
}

impl Numbers {
    fn seq(self, n: usize) -> u64 {
        let n = n as u64;
        match self {
            Self::Dense => n,
            Self::Sparse => 1_000 + n * n * 37,
            Self::Huge => u64::MAX - 70_000 * n,
        }
    }
}

#[derive(Debug, Clone)]
struct Plan {
    /// By partition, then producer.
    streams: Vec<Vec<(Numbers, Vec<Fate>)>>,
    /// Records of sequences that nobody offered, by partition and place.
    foreign: Vec<(usize, u32)>,
    /// How far the group came in each partition, of 100 parts; none: the read is whole.
    commits: Option<Vec<u8>>,
    /// Of the order of lines, their files, and compression.
    shuffle: u64,
    files: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let numbers = prop_oneof![Just(Numbers::Dense), Just(Numbers::Sparse), Just(Numbers::Huge)];
    let stream = (numbers, prop::collection::vec(fate(), 0..30));
    let partition = prop::collection::vec(stream, 1..=PRODUCERS.len());
    (
        prop::collection::vec(partition, 1..4),
        prop::collection::vec((0_usize..3, 0_u32..1_000), 0..3),
        prop::option::of(prop::collection::vec(0_u8..=100, 3)),
        any::<u64>(),
        1_usize..4,
    )
        .prop_map(|(streams, foreign, commits, shuffle, files)| Plan { streams, foreign, commits, shuffle, files })
}

/// Who a message is: producer, partition, sequence.
type Id = (usize, i32, u64);

/// The plan played out, as plain lists.
#[derive(Debug, Default)]
struct Played {
    messages: BTreeMap<Id, Fate>,
    /// Partition and offset of each record.
    log: BTreeMap<(i32, i64), Id>,
    reports: Vec<(Id, Told, Option<i64>)>,
    /// Partition, offset, message, processed.
    reads: Vec<(i32, i64, Id, bool)>,
    commits: BTreeMap<i32, i64>,
}

fn play(plan: &Plan) -> Played {
    let mut played = Played::default();
    for (partition, streams) in (0_i32..).zip(&plan.streams) {
        let mut entries: Vec<(u32, Id)> = Vec::new();
        for (producer, (numbers, fates)) in streams.iter().enumerate() {
            for (n, fate) in fates.iter().enumerate() {
                // Descending numbers would all be out of order.
                let n_th = if matches!(numbers, Numbers::Huge) { fates.len() - 1 - n } else { n };
                let id = (producer, partition, numbers.seq(n_th));
                played.messages.insert(id, *fate);
                for copy in 0..fate.copies {
                    entries.push((n as u32 * 10 + fate.late + u32::from(copy) * 15, id));
                }
            }
        }
        for (_, place) in plan.foreign.iter().filter(|(at, _)| *at == partition as usize) {
            entries.push((*place, (0, partition, 500_000 + u64::from(*place))));
        }
        entries.sort();
        // Offsets have gaps, as control records leave them.
        for (n, (_, id)) in entries.iter().enumerate() {
            played.log.insert((partition, n as i64 + n as i64 / 7), *id);
        }
        let end = played.log.range((partition, 0)..(partition + 1, 0)).count() as i64;
        if let Some(commits) = &plan.commits {
            played.commits.insert(partition, (end + end / 7) * i64::from(commits[partition as usize]) / 100);
        }
    }
    for (id, fate) in &played.messages {
        let own = played.log.iter().find(|(_, at)| *at == id).map(|((_, offset), _)| *offset);
        let offset = if fate.wrong_offset { own.map(|offset| offset + 1) } else { own };
        if fate.worse_before {
            played.reports.push((*id, Told::Unsent, None));
        }
        played.reports.push((*id, fate.told, offset.filter(|_| fate.told == Told::Acked)));
    }
    for ((partition, offset), id) in &played.log {
        // Behind the group's position nothing was read.
        if played.commits.get(partition).is_some_and(|commit| offset >= commit) {
            continue;
        }
        let (processed, again) = played.messages.get(id).map_or((true, 0), |fate| (fate.processed, fate.read_again));
        for _ in 0..=again {
            played.reads.push((*partition, *offset, *id, processed));
        }
    }
    played
}

/// A finding of one message.
type Found = (usize, i32, u64, Finding);

/// What must be found, counted over the lists.
fn expected(played: &Played) -> (Counts, BTreeSet<Found>) {
    let mut counts = Counts::default();
    let mut found = BTreeSet::new();
    let seen: BTreeMap<(i32, i64), Id> = played.reads.iter().map(|(p, o, id, _)| ((*p, *o), *id)).collect();
    let processed: Vec<(i32, i64, Id)> =
        played.reads.iter().filter(|read| read.3).map(|(p, o, id, _)| (*p, *o, *id)).collect();
    for (id, fate) in &played.messages {
        let mut note = |finding| {
            found.insert((id.0, id.1, id.2, finding));
        };
        let told = if fate.worse_before { fate.told.max(Told::Unsent) } else { fate.told };
        counts.offered += 1;
        *(match told {
            Told::Acked => &mut counts.acked,
            Told::Unconfirmed => &mut counts.unconfirmed,
            Told::Failed => &mut counts.failed,
            Told::Indeterminate => &mut counts.indeterminate,
            Told::Unsent => &mut counts.unsent,
        }) += 1;
        let copies = seen.values().filter(|at| *at == id).count() as u64;
        let times = processed.iter().filter(|(.., at)| at == id).count() as u64;
        let places = processed.iter().filter(|(.., at)| at == id).map(|(p, o, _)| (*p, *o)).collect::<BTreeSet<_>>();
        counts.in_log += u64::from(copies > 0);
        if copies > 1 {
            counts.duplicates += copies - 1;
            counts.duplicate_records += copies - 1;
            note(Finding::Flag(Flag::Duplicate));
        }
        if times > places.len() as u64 {
            counts.redelivered += times - places.len() as u64;
            note(Finding::Flag(Flag::Redelivered));
        }
        if times > 1 {
            counts.doubled += times - 1;
            note(Finding::Flag(Flag::Doubled));
        }
        if told == Told::Failed && copies > 0 {
            counts.failed_but_landed += 1;
            note(Finding::Flag(Flag::FailedButLanded));
        }
        let ack = played.reports.iter().filter(|(at, told, _)| at == id && *told == Told::Acked).find_map(|r| r.2);
        if let Some(offset) = ack
            && seen.get(&(id.1, offset)).is_some_and(|there| there != id)
        {
            counts.offset_conflicts += 1;
            note(Finding::Flag(Flag::OffsetConflict));
        }
        let commit = played.commits.get(&id.1);
        let ahead = commit.is_some_and(|commit| told != Told::Acked || ack.is_none_or(|offset| offset >= *commit));
        let category = if times > 0 {
            counts.delivered += 1;
            continue;
        } else if copies > 0 {
            counts.lost_by_consumer += 1;
            Category::LostByConsumer
        } else if ahead {
            counts.lagging += 1;
            Category::Lagging
        } else if told == Told::Acked {
            counts.lost_in_cluster += 1;
            Category::LostInCluster
        } else {
            *(match told {
                Told::Unconfirmed => &mut counts.undelivered.unconfirmed,
                Told::Failed => &mut counts.undelivered.failed,
                Told::Indeterminate => &mut counts.undelivered.indeterminate,
                _ => &mut counts.undelivered.unsent,
            }) += 1;
            Category::Undelivered
        };
        counts.lost += u64::from(category != Category::Lagging);
        found.insert((id.0, id.1, id.2, Finding::Category(category)));
    }
    // Order: by first copies, within a stream.
    let mut highest: BTreeMap<(usize, i32), u64> = BTreeMap::new();
    let mut first = BTreeSet::new();
    for id in seen.values().filter(|id| played.messages.contains_key(id)) {
        if first.insert(*id) {
            let highest = highest.entry((id.0, id.1)).or_insert(id.2);
            if id.2 < *highest {
                counts.reordered += 1;
                found.insert((id.0, id.1, id.2, Finding::Flag(Flag::Reordered)));
            }
            *highest = id.2.max(*highest);
        }
    }
    counts.records_in_log = seen.len() as u64;
    counts.phantom = seen.values().filter(|id| !played.messages.contains_key(id)).count() as u64;
    counts.processed_foreign = counts.phantom;
    (counts, found)
}

fn word(told: Told) -> &'static str {
    match told {
        Told::Acked => "acked",
        Told::Unconfirmed => "unconfirmed",
        Told::Indeterminate => "indeterminate",
        Told::Failed => "failed",
        Told::Unsent => "unsent",
    }
}

fn name(producer: usize) -> String {
    serde_json::to_string(PRODUCERS[producer]).unwrap()
}

/// How lines become files.
struct Layout {
    shuffle: Option<u64>,
    files: usize,
    compress: bool,
}

fn write(dir: &Path, side: &str, mut lines: Vec<String>, layout: &Layout) -> Vec<PathBuf> {
    if let Some(seed) = layout.shuffle {
        let mut state = seed | 1;
        for n in (1..lines.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            lines.swap(n, (state >> 33) as usize % (n + 1));
        }
    }
    let mut paths = Vec::new();
    for file in 0..layout.files {
        let text: String =
            lines.iter().enumerate().filter(|(n, _)| n % layout.files == file).map(|(_, line)| line.as_str()).collect();
        let bytes = match (layout.compress, file % 2) {
            (false, _) => text.into_bytes(),
            (true, 0) => gzip(text.as_bytes()),
            (true, _) => zstd(text.as_bytes()),
        };
        let path = dir.join(format!("{side}-{file}"));
        std::fs::write(&path, bytes).unwrap();
        paths.push(path);
    }
    paths
}

fn account(played: &Played, layout: &Layout) -> Account {
    let dir = tempfile::tempdir().unwrap();
    let reports = played.reports.iter().map(|((producer, partition, seq), told, offset)| {
        let offset = offset.map_or_else(|| "null".to_owned(), |offset| offset.to_string());
        let (producer, told) = (name(*producer), word(*told));
        format!("{{\"seq\":{seq},\"status\":\"{told}\",\"producer\":{producer},\"offset\":{offset},\"partition\":{partition}}}\n")
    });
    let reads = played.reads.iter().map(|(partition, offset, (producer, _, seq), processed)| {
        let producer = name(*producer);
        let processed = if *processed { "" } else { ",\"processed\":false" };
        format!("{{\"producer\":{producer},\"partition\":{partition},\"seq\":{seq},\"offset\":{offset}{processed}}}\n")
    });
    let commits: String = played
        .commits
        .iter()
        .map(|(partition, offset)| format!("{{\"partition\":{partition},\"offset\":{offset}}}\n"))
        .collect();
    let committed = dir.path().join("committed");
    std::fs::write(&committed, &commits).unwrap();
    let options = Options {
        produced: write(dir.path(), "produced", reports.collect(), layout),
        consumed: write(dir.path(), "consumed", reads.collect(), layout),
        committed: (!commits.is_empty()).then_some(committed),
        ..Options::default()
    };
    let spool = dir.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    reconcile(&options, &spool).unwrap()
}

/// Every message of every range, by name; numbers that were never offered apart.
fn found(account: &Account, played: &Played) -> BTreeSet<Found> {
    let mut found = BTreeSet::new();
    for anomaly in &account.reconciliation.anomalies {
        let producer = &account.producers[usize::from(anomaly.stream.producer)];
        let producer = PRODUCERS.iter().position(|name| name == producer).unwrap();
        let (partition, range) = (anomaly.stream.partition, anomaly.first..=anomaly.last);
        for id in played.messages.keys().filter(|id| (id.0, id.1) == (producer, partition) && range.contains(&id.2)) {
            found.insert((id.0, id.1, id.2, anomaly.finding));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn exactly_what_was_planted_is_found_however_the_lines_lie(plan in plan()) {
        let played = play(&plan);
        // Without a message of a producer that produced, there is nothing to reconcile.
        prop_assume!(played.reads.iter().any(|read| played.messages.keys().any(|id| id.0 == read.2.0)));
        let (counts, planted) = expected(&played);

        let plain = account(&played, &Layout { shuffle: None, files: 1, compress: false });
        prop_assert_eq!(plain.reconciliation.counts, counts);
        prop_assert_eq!(found(&plain, &played), planted);

        let shuffled = account(&played, &Layout { shuffle: Some(plan.shuffle), files: plan.files, compress: true });
        prop_assert_eq!(shuffled.reconciliation.counts, counts);
        prop_assert_eq!(found(&shuffled, &played), found(&plain, &played));
        let partitions = |account: &Account| account.reconciliation.partitions.clone();
        prop_assert_eq!(partitions(&shuffled), partitions(&plain));
        prop_assert_eq!(&shuffled.reconciliation.strays, &plain.reconciliation.strays);
    }
}

//! Reconciliation at scale, each measured in a process of its own, so that making the data does not
//! count:
//!
//! - `disk`: 100 million sequences in 12 streams with 10,000 planted anomalies of all kinds, in journals
//!   on disk; records a second of CPU time, peak memory, and whether exactly what was planted is found;
//! - `stream`: a billion sequences, made as they are reconciled, without a disk;
//! - `duckdb`: loss and duplicates of the same 100 million, asked of DuckDB (see `duckdb.py`).
//!
//! `cargo bench -p lossproof-ledger --bench reconcile -- disk` does one; without a word, all. A number
//! after the word is the number of sequences. Journals are made in the folder for temporary files
//! (`TMPDIR`): some 1.5 GB.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lossproof_ledger::category::Category;
use lossproof_ledger::journal::{self, Header, JournalError, JournalReader, JournalWriter, Source};
use lossproof_ledger::reconcile::{
    self, Anomaly, ClientPass, Facts, Finding, Flag, JournalEnd, LogPass, Process, Reconciliation,
};
use lossproof_ledger::record::Record;
use serde::{Deserialize, Serialize};
use support::cpu_ns;
use support::history::{Edges, Expected, Journal, LAYOUTS, Layout, MEMBERS, Part, Plan, RUN};

const SEQUENCES: u64 = 100_000_000;
const STREAMED: u64 = 1_000_000_000;
const ANOMALIES: u64 = 10_000;
/// Targets; the last for DuckDB's time by ours.
const RECORDS_PER_S: f64 = 50e6;
const DISK_PEAK_MB: u64 = 200;
const STREAM_PEAK_MB: u64 = 1536;
const FASTER_THAN_DUCKDB: f64 = 10.0;

/// What a measuring process reports.
#[derive(Serialize, Deserialize)]
struct Report {
    records: u64,
    cpu_ns: u64,
    peak_mb: u64,
    reconciliation: Reconciliation,
}

/// Which journals are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// All.
    All,
    /// The producers' and the audit's, without transactions: as DuckDB is.
    LossAndDuplicates,
}

fn main() {
    // Cargo adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |default| words.get(1).map_or(default, |n| n.replace('_', "").parse().unwrap());
    match words.first() {
        Some(&"measure-disk") => measure_disk(Path::new(words[1]), words[2], words[3], words[4]),
        Some(&"measure-stream") => measure_stream(words[1], words[2]),
        Some(&"disk") => disk(number(SEQUENCES)),
        Some(&"stream") => stream(number(STREAMED)),
        Some(&"duckdb") => duckdb(number(SEQUENCES)),
        Some(other) => panic!("{other:?}: expected disk, stream or duckdb"),
        None => {
            disk(SEQUENCES);
            stream(STREAMED);
            duckdb(SEQUENCES);
        }
    }
}

fn disk(sequences: u64) {
    for layout in LAYOUTS {
        let plan = Plan::new(layout, sequences, ANOMALIES);
        let dir = tempfile::tempdir().unwrap();
        let expected = write(&plan, dir.path());
        let report = on_disk(dir.path(), layout, sequences, Asked::All);
        println!("disk, {}: {}", layout.name, line(&report));
        check(&expected, &report.reconciliation);
        at_least("records a second and core", report.per_s(), RECORDS_PER_S);
        at_most("MB at the peak", report.peak_mb, DISK_PEAK_MB);
    }
}

fn stream(sequences: u64) {
    for layout in LAYOUTS {
        let expected = Plan::new(layout, sequences, ANOMALIES).tell(Part::Nothing, |_, _| {});
        let report = measured(&["measure-stream", layout.name, &sequences.to_string()]);
        println!("stream, {}, making the records included: {}", layout.name, line(&report));
        check(&expected, &report.reconciliation);
        at_most("MB at the peak", report.peak_mb, STREAM_PEAK_MB);
    }
}

fn duckdb(sequences: u64) {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = crate_dir.join("../target/duckdb/bin/python");
    if !python.exists() {
        println!("duckdb: left out, as {} is missing; benches/duckdb.py says how to make it", python.display());
        return;
    }
    // It is not asked about transactions, either.
    for layout in LAYOUTS.map(|layout| Layout { transactions: false, ..layout }) {
        let plan = Plan::new(layout, sequences, ANOMALIES);
        let dir = tempfile::tempdir().unwrap();
        let expected = write(&plan, dir.path());
        let ours = on_disk(dir.path(), layout, sequences, Asked::LossAndDuplicates);
        drop(dir);

        let table = |wanted: &dyn Fn(&Anomaly) -> bool| -> Vec<(u16, u64)> {
            let chosen = expected.anomalies.iter().filter(|anomaly| wanted(anomaly));
            chosen.flat_map(|a| (a.first..=a.last).map(|sequence| (a.stream.producer, sequence))).collect()
        };
        let of = |categories: [Category; 2]| {
            let findings = categories.map(Finding::Category);
            table(&|anomaly| findings.contains(&anomaly.finding))
        };
        let data = serde_json::json!({
            "streams": layout.streams(),
            "per_stream": plan.per_stream,
            "lost": of([Category::LostInCluster, Category::Vanished]),
            "unacked": of([Category::Undelivered, Category::Recovered]),
            "duplicated": table(&|a| a.finding == Finding::Flag(Flag::Duplicate)),
        });
        let data = serde_json::to_vec(&data).unwrap();
        let mut script = Command::new(&python);
        let theirs: DuckDb =
            serde_json::from_slice(&fed(script.arg(crate_dir.join("benches/duckdb.py")), &data)).unwrap();
        let counts = ours.reconciliation.counts;
        assert_eq!((counts.lost_in_cluster, counts.duplicates), (theirs.lost, theirs.duplicated), "they disagree");
        println!(
            "duckdb {}, {}, one thread each: loss {:.1} s and duplicates {:.1} s of CPU time, {} MB; from journals {:.2} s, {} MB",
            theirs.version,
            layout.name,
            theirs.loss_s,
            theirs.duplicates_s,
            theirs.peak_mb,
            ours.cpu_ns as f64 / 1e9,
            ours.peak_mb
        );
        at_least("times as fast", (theirs.loss_s + theirs.duplicates_s) * 1e9 / ours.cpu_ns as f64, FASTER_THAN_DUCKDB);
    }
}

/// What `duckdb.py` prints.
#[derive(Deserialize)]
struct DuckDb {
    version: String,
    loss_s: f64,
    duplicates_s: f64,
    peak_mb: u64,
    lost: u64,
    duplicated: u64,
}

impl Report {
    fn per_s(&self) -> f64 {
        self.records as f64 * 1e9 / self.cpu_ns as f64
    }
}

fn line(report: &Report) -> String {
    let counts = report.reconciliation.counts;
    format!(
        "{} sequences, {} records in {:.1} s of CPU time, {:.1} M records/s per core, {} MB at the peak",
        counts.offered,
        report.records,
        report.cpu_ns as f64 / 1e9,
        report.per_s() / 1e6,
        report.peak_mb
    )
}

fn at_least(what: &str, found: f64, target: f64) {
    println!("  {found:.1} {what}, at least {target:.1}: {}", if found >= target { "met" } else { "MISSED" });
}

fn at_most(what: &str, found: u64, target: u64) {
    println!("  {found} {what}, at most {target}: {}", if found <= target { "met" } else { "MISSED" });
}

/// Exactly what was planted, and every count.
fn check(expected: &Expected, found: &Reconciliation) {
    let anomalies: u64 = expected.anomalies.len() as u64 + expected.strays.len() as u64;
    assert_eq!(found.counts, expected.counts);
    assert!(found.journals_complete && found.anomalies_omitted == 0 && found.strays_omitted == 0);
    for (found, expected) in found.anomalies.iter().zip(&expected.anomalies) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.anomalies.len(), expected.anomalies.len());
    assert!(found.strays == expected.strays);
    println!("  exactly what was planted: {anomalies} findings, and every count");
}

/// Writes all journals of a history.
fn write(plan: &Plan, dir: &Path) -> Expected {
    let create = |source| {
        let header = Header { run: RUN, profile: "bench".into(), source };
        JournalWriter::create(dir, &header).unwrap()
    };
    let facts = plan.facts(&[]);
    let producers = facts.streams.iter().map(|stream| {
        let reconcile::StreamId { producer, partition } = stream.id;
        let stream = journal::Stream { producer, partition, first: 0, start_ns: 0, period_ns: 500_000 };
        let writer = create(Source::Producer { member: producer, incarnation: 0, stream });
        writer.raise_next(plan.per_stream);
        writer
    });
    let mut producers: Vec<JournalWriter> = producers.collect();
    let mut consumers: Vec<JournalWriter> =
        (0..MEMBERS).map(|member| create(Source::Consumer { member: member as u16, incarnation: 0 })).collect();
    let mut others = [Source::Audit, Source::Tail, Source::Parking].map(create);
    let mut expected = Expected::default();
    for part in [Part::Log, Part::Visible, Part::Clients] {
        expected = plan.tell(part, |journal, record| {
            let writer = match journal {
                Journal::Audit => &mut others[0],
                Journal::Tail => &mut others[1],
                Journal::Parking => &mut others[2],
                Journal::Producer(stream) => &mut producers[stream],
                Journal::Consumer(member) => &mut consumers[member],
            };
            writer.append(record).unwrap();
        });
    }
    for writer in producers.into_iter().chain(consumers).chain(others) {
        writer.seal().unwrap();
    }
    expected
}

fn on_disk(dir: &Path, layout: Layout, sequences: u64, asked: Asked) -> Report {
    let asked = if asked == Asked::All { "all" } else { "loss-and-duplicates" };
    measured(&["measure-disk", dir.to_str().unwrap(), layout.name, &sequences.to_string(), asked])
}

/// Runs a part of this program as a process of its own.
fn measured(words: &[&str]) -> Report {
    let output = Command::new(std::env::current_exe().unwrap()).args(words).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn plan_of(layout: &str, sequences: &str, transactions: bool) -> (Plan, Vec<Edges>) {
    let layout = LAYOUTS.into_iter().find(|known| known.name == layout).unwrap();
    let layout = Layout { transactions, ..layout };
    let plan = Plan::new(layout, sequences.parse().unwrap(), ANOMALIES);
    let edges = plan.tell(Part::Nothing, |_, _| {}).edges;
    (plan, edges)
}

fn measure_disk(dir: &Path, layout: &str, sequences: &str, asked: &str) {
    let all = asked == "all";
    let (plan, edges) = plan_of(layout, sequences, all);
    let facts = plan.facts(&edges);
    let start = cpu_ns();
    let (reconciliation, records) = read(dir, &facts, all).unwrap();
    report(records, cpu_ns() - start, reconciliation);
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown when a measurement fails")]
enum Failed {
    Journal(JournalError),
    Reconcile(reconcile::Error),
}

impl From<JournalError> for Failed {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<reconcile::Error> for Failed {
    fn from(error: reconcile::Error) -> Self {
        Self::Reconcile(error)
    }
}

/// Reads a folder of journals, and reconciles them.
fn read(dir: &Path, facts: &Facts, consumers_too: bool) -> Result<(Reconciliation, u64), Failed> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    let mut records = 0;
    let mut log = LogPass::new(facts)?;
    for path in &paths {
        let reader = JournalReader::open(path)?;
        if matches!(reader.header().source, Source::Audit | Source::Tail | Source::Parking) {
            records += reader.for_each(|record| log.record(record).map_err(Failed::from))?.records;
        }
    }
    let mut clients = log.clients();
    for path in &paths {
        let reader = JournalReader::open(path)?;
        let tail = match reader.header().source {
            Source::Producer { stream, .. } => {
                reader.for_each(|record| clients.producer_record(stream.producer, record).map_err(Failed::from))?
            }
            Source::Consumer { member, incarnation } if consumers_too => {
                let process = Process { member, incarnation };
                reader.for_each(|record| clients.consumer_record(process, record).map_err(Failed::from))?
            }
            _ => continue,
        };
        assert!(tail.sealed && tail.is_undamaged());
        clients.journal_ended(JournalEnd::Sealed);
        records += tail.records;
    }
    Ok((clients.finish()?, records))
}

fn measure_stream(layout: &str, sequences: &str) {
    let (plan, edges) = plan_of(layout, sequences, true);
    let facts = plan.facts(&edges);
    let start = cpu_ns();
    let mut log = LogPass::new(&facts).unwrap();
    let mut records = 0;
    for part in [Part::Log, Part::Visible] {
        records += plan.tell(part, |_, record| log.record(record).unwrap()).records;
    }
    let mut clients = log.clients();
    let told = plan.tell(Part::Clients, |journal, record| push(&mut clients, &facts, journal, record));
    records += told.records;
    for _ in 0..facts.journals {
        clients.journal_ended(JournalEnd::Sealed);
    }
    let reconciliation = clients.finish().unwrap();
    report(records, cpu_ns() - start, reconciliation);
}

#[inline]
fn push(clients: &mut ClientPass, facts: &Facts, journal: Journal, record: &Record) {
    match journal {
        Journal::Producer(stream) => clients.producer_record(facts.streams[stream].id.producer, record).unwrap(),
        Journal::Consumer(member) => {
            clients.consumer_record(Process { member: member as u16, incarnation: 0 }, record).unwrap();
        }
        Journal::Audit | Journal::Tail | Journal::Parking => unreachable!("told with another part"),
    }
}

fn report(records: u64, cpu_ns: u64, reconciliation: Reconciliation) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let report = Report { records, cpu_ns, peak_mb: (peak_kib * 1024).div_ceil(1_000_000), reconciliation };
    println!("{}", serde_json::to_string(&report).unwrap());
}

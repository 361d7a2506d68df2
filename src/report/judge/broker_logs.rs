//! What brokers' own log files say of truncations: a second witness, where there is one.
//!
//! Their clock is this host's, in UTC as the image has it; nothing is concluded from single milliseconds.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use lossproof_ledger::cause::Truncated;

/// Folder of the brokers' logs in a run directory.
const BROKERS: &str = "brokers";

/// All truncations that the saved logs of a run tell of, in the order of brokers and lines; of a profile that was `alone`,
/// those of its own cluster. Logs that are not there tell nothing.
pub(super) fn truncations(run_dir: &Path, alone: Option<&str>, started: Timestamp) -> Vec<Truncated> {
    let mut logs: Vec<(i32, std::path::PathBuf)> = run_dir
        .join(BROKERS)
        .join(alone.unwrap_or_default())
        .read_dir()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let broker = path.file_name()?.to_str()?.strip_prefix("kafka-")?.strip_suffix(".log")?.parse().ok()?;
            Some((broker, path))
        })
        .collect();
    logs.sort_unstable();
    let mut found = Vec::new();
    for (broker, path) in logs {
        let Ok(text) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&text);
        found.extend(text.lines().filter_map(|line| truncation(line, broker, started)));
    }
    found
}

/// `[2026-11-21 12:35:02,021] INFO [UnifiedLog partition=TOPIC-0, dir=/data/logs] Truncating to offset 6762 (…)`. That a
/// truncation "has no effect" is said in other words.
fn truncation(line: &str, broker: i32, started: Timestamp) -> Option<Truncated> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (_, rest) = rest.split_once("Log partition=")?;
    let (name, rest) = rest.split_once(", dir=")?;
    let (_, rest) = rest.split_once("] Truncating to offset ")?;
    let to = rest.split_whitespace().next()?.parse().ok()?;
    let (topic, partition) = name.rsplit_once('-')?;
    let at = DateTime::strptime("%Y-%m-%d %H:%M:%S,%f", time).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let since = at.timestamp().duration_since(started).as_nanos();
    Some(Truncated {
        at_ns: u64::try_from(since).ok()?,
        broker,
        topic: topic.to_owned(),
        partition: partition.parse().ok()?,
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_truncations_that_took_something_count() {
        let started: Timestamp = "2026-11-21T12:34:19.500Z".parse().unwrap();
        let read = |line| truncation(line, 1, started);
        let line = "[2026-11-21 12:35:02,021] INFO [UnifiedLog partition=leader-partition-baseline-0, dir=/data/logs] \
                    Truncating to offset 6762 (kafka.log.UnifiedLog)";
        let expected = Truncated {
            at_ns: 42_521_000_000,
            broker: 1,
            topic: "leader-partition-baseline".to_owned(),
            partition: 0,
            to: 6762,
        };
        assert_eq!(read(line), Some(expected));
        let idle = "[2026-11-21 12:34:29,862] INFO [UnifiedLog partition=t-1, dir=/data/logs] Truncating to 0 has no \
                    effect as the largest offset in the log is -1 (kafka.log.UnifiedLog)";
        assert_eq!(read(idle), None);
        assert_eq!(read("Truncating to offset 6762"), None);
        let before = line.replace("12:35:02", "12:34:02");
        assert_eq!(truncation(&before, 1, started), None, "of another run");
    }
}

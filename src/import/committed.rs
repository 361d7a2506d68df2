//! Committed offsets: JSON lines, or the table that `kafka-consumer-groups --describe` prints.

use std::collections::BTreeMap;
use std::path::Path;

use super::diagnosis::diagnose;
use super::input::Input;
use super::lines::Lines;
use super::refusal::Refusal;
use super::row::{Kind, RowReader};
use super::text_of;

/// Where the group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    /// The next offset that it would read.
    pub offset: i64,
    /// The end of the log, where it is known.
    pub end: Option<i64>,
}

impl Commit {
    /// Everything in the partition was read.
    pub(super) fn is_whole(self) -> bool {
        self.end.is_some_and(|end| self.offset >= end)
    }
}

/// One line of the file.
struct Entry {
    group: Option<String>,
    topic: Option<String>,
    partition: i32,
    /// None for a partition without a commit.
    commit: Option<Commit>,
    line: u64,
}

/// Which of several groups and topics is meant.
pub(super) struct Choice<'a> {
    pub group: Option<&'a str>,
    pub topic: Option<&'a str>,
}

/// Reads committed offsets by partition.
pub(super) fn read(path: &Path, choice: &Choice<'_>) -> Result<BTreeMap<i32, Commit>, Refusal> {
    let mut lines = Lines::new(Input::open(path)?);
    let name = lines.name().to_owned();
    let mut rows = RowReader::new(Kind::Committed);
    let mut table: Option<Columns> = None;
    let mut entries = Vec::new();
    while let Some(line) = lines.next()? {
        let number = line.number;
        let text = text_of(&name, &line)?;
        if text.trim_start().starts_with('{') {
            let row = rows.read(text).map_err(|_| diagnose(&name, number, text, Kind::Committed))?;
            let (Some(partition), Some(offset)) = (row.partition, row.offset) else {
                return Err(diagnose(&name, number, text, Kind::Committed));
            };
            entries.push(Entry {
                group: row.group.map(String::from),
                topic: row.topic.map(String::from),
                partition,
                commit: Some(Commit { offset, end: row.end }),
                line: number,
            });
        } else if let Some(columns) = Columns::of(text) {
            table = Some(columns);
        } else if text.starts_with("Consumer group '") {
            // That it has no active members, or is rebalancing.
        } else if let Some(columns) = &table {
            entries.push(columns.entry(&name, number, text)?);
        } else {
            return Err(Refusal::at(&name, number, text.as_bytes(), 0, "neither JSON nor the head of a table")
                .expected(
                    "expected {\"partition\":0,\"offset\":4712} or what `kafka-consumer-groups --describe` prints",
                ));
        }
    }
    chosen(&name, entries, choice)
}

fn chosen(name: &str, entries: Vec<Entry>, choice: &Choice<'_>) -> Result<BTreeMap<i32, Commit>, Refusal> {
    let fits = |chosen: Option<&str>, own: &Option<String>| {
        chosen.is_none_or(|chosen| own.as_ref().is_none_or(|own| own == chosen))
    };
    let some = !entries.is_empty();
    let mut entries = entries;
    entries.retain(|entry| fits(choice.group, &entry.group) && fits(choice.topic, &entry.topic));
    if entries.is_empty() {
        let why = if some { "none of its lines is of the chosen group and topic" } else { "it holds none" };
        return Err(Refusal::new(format!("{name} gives no committed offset: {why}")));
    }
    let several = |of: fn(&Entry) -> Option<&str>| {
        let mut names: Vec<&str> = entries.iter().filter_map(of).collect();
        names.sort_unstable();
        names.dedup();
        (names.len() > 1).then(|| names.join(", "))
    };
    for (what, option, names) in [
        ("groups", "--group", several(|entry| entry.group.as_deref())),
        ("topics", "--topic", several(|entry| entry.topic.as_deref())),
    ] {
        if let Some(names) = names {
            return Err(
                Refusal::new(format!("{name} holds several {what}: {names}")).hint(format!("choose one with {option}"))
            );
        }
    }
    let mut commits = BTreeMap::new();
    for entry in entries {
        let Some(commit) = entry.commit else { continue };
        if let Some(other) = commits.insert(entry.partition, commit)
            && other != commit
        {
            let message = format!("partition {} is given a second time, with another offset", entry.partition);
            return Err(Refusal::at_line(name, entry.line, message)
                .hint("leave one of them: it would be unclear which one holds"));
        }
    }
    Ok(commits)
}

/// Where the columns of the table are. No value in it holds a blank.
struct Columns {
    group: Option<usize>,
    topic: Option<usize>,
    partition: usize,
    offset: usize,
    end: Option<usize>,
}

impl Columns {
    /// The columns, if this is the head of a table.
    fn of(line: &str) -> Option<Self> {
        let place = |name: &str| line.split_whitespace().position(|column| column == name);
        Some(Self {
            group: place("GROUP"),
            topic: place("TOPIC"),
            partition: place("PARTITION")?,
            offset: place("CURRENT-OFFSET")?,
            end: place("LOG-END-OFFSET"),
        })
    }

    fn entry(&self, name: &str, number: u64, line: &str) -> Result<Entry, Refusal> {
        let values: Vec<&str> = line.split_whitespace().collect();
        let value = |column: usize| values.get(column).copied();
        let column_of = |value: &str| (value.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
        let count = |column: usize, what: &str| -> Result<Option<i64>, Refusal> {
            let Some(text) = value(column) else {
                return Err(Refusal::at(name, number, line.as_bytes(), line.len(), format!("no {what} in this line"))
                    .expected("the line ends here"));
            };
            // A partition without a commit, or without a leader.
            if text == "-" {
                return Ok(None);
            }
            match text.parse::<i64>() {
                Ok(count) if count >= 0 => Ok(Some(count)),
                _ => Err(Refusal::at(name, number, line.as_bytes(), column_of(text), format!("`{text}` is no {what}"))
                    .expected("expected a whole number or `-`")),
            }
        };
        let partition = count(self.partition, "partition")?.and_then(|partition| i32::try_from(partition).ok());
        let partition = partition.ok_or_else(|| {
            Refusal::at(name, number, line.as_bytes(), 0, "no partition in this line")
                .expected("expected the columns of the head above")
        })?;
        let end = match self.end {
            Some(column) => count(column, "end of the log")?,
            None => None,
        };
        let text = |column: Option<usize>| column.and_then(value).map(str::to_owned);
        Ok(Entry {
            group: text(self.group),
            topic: text(self.topic),
            partition,
            commit: count(self.offset, "committed offset")?.map(|offset| Commit { offset, end }),
            line: number,
        })
    }
}

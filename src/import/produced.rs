//! Reading what producers were told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lossproof_ledger::category::Told;
use lossproof_ledger::reconcile::{ANY_PARTITION, StreamId};
use roaring::RoaringTreemap;

use super::book::{Book, Names, PRODUCERS_MAX};
use super::committed::Commit;
use super::diagnosis::diagnose;
use super::input::Input;
use super::lines::Lines;
use super::refusal::Refusal;
use super::row::{Kind, RowReader};
use super::source::{Format, Period, Topics, is_torn};
use super::spool::{Report, Reports};
use super::verifiable::{self, Event};
use super::{Error, Options, text_of};

/// Reads the inputs of producers.
pub(super) struct Producers<'a> {
    options: &'a Options,
    commits: &'a BTreeMap<i32, Commit>,
    reports: Reports,
    /// Values that each of Kafka's producers reported, by its number.
    tools: BTreeMap<u16, RoaringTreemap>,
    produced: Produced,
}

/// What all inputs of producers tell.
#[derive(Debug, Default)]
pub(super) struct Produced {
    pub names: Names,
    pub book: Book,
    /// Reports.
    pub lines: u64,
    /// Reports of a sequence beyond its first.
    pub repeated: u64,
    pub period: Period,
    /// Inputs of which something may be missing at their end, and why.
    pub cut_off: Vec<String>,
    pub topics: Topics,
}

impl<'a> Producers<'a> {
    pub(super) fn new(options: &'a Options, commits: &'a BTreeMap<i32, Commit>, dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            options,
            commits,
            reports: Reports::create(dir)?,
            tools: BTreeMap::new(),
            produced: Produced { topics: Topics::new(options.topic.clone()), ..Produced::default() },
        })
    }

    /// Reads one input.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), Error> {
        let mut lines = Lines::new(Input::open(path)?);
        let name = lines.name().to_owned();
        match Format::of(&mut lines, self.options.format, &name)? {
            Format::Jsonl => self.jsonl(&name, &mut lines),
            Format::KafkaVerifiable => self.tool(&name, &mut lines),
        }
    }

    fn jsonl(&mut self, name: &str, lines: &mut Lines) -> Result<(), Error> {
        let mut rows = RowReader::new(Kind::Produced);
        while let Some(line) = lines.next()? {
            let number = line.number;
            if is_torn(&line) {
                self.produced.cut_off.push(format!("the last line of {name} was cut off and is left out"));
                break;
            }
            let text = text_of(name, &line)?;
            let wrong = || diagnose(name, number, text, Kind::Produced);
            let row = rows.read(text).map_err(|_| wrong())?;
            let (Some(producer), Some(sequence), Some(told)) = (&row.producer, row.seq, row.status) else {
                return Err(wrong().into());
            };
            if !self.produced.topics.takes(row.topic.as_deref(), name, number)? {
                continue;
            }
            let producer = self.producer(producer, name, number)?;
            let partition = row.partition.unwrap_or(ANY_PARTITION);
            // Clients say -1, or librdkafka -1001, where they know of no offset.
            let offset = row.offset.filter(|offset| *offset >= 0);
            self.produced.period.add(row.at);
            self.report(StreamId { producer, partition }, sequence, told, offset)?;
        }
        Ok(())
    }

    fn tool(&mut self, name: &str, lines: &mut Lines) -> Result<(), Error> {
        let (mut shut_down, mut reported, mut sent) = (false, 0_u64, None);
        while let Some(line) = lines.next()? {
            let number = line.number;
            if is_torn(&line) {
                self.produced.cut_off.push(format!("the last line of {name} was cut off and is left out"));
                shut_down = true;
                break;
            }
            let text = text_of(name, &line)?;
            let at = |byte: usize, message: String| Refusal::at(name, number, text.as_bytes(), byte, message);
            let event = verifiable::read(text).map_err(|(why, byte)| {
                at(byte, format!("this is no line of kafka-verifiable-producer: {why}"))
                    .hint("give its standard output alone: its log goes to standard error")
            })?;
            if !self.produced.topics.takes(event.topic.as_deref(), name, number)? {
                continue;
            }
            let (value, partition, told, offset) = match event.event {
                Event::Success { value, partition, offset } => (value, partition, Told::Acked, offset),
                Event::Error { value, told } => (value, ANY_PARTITION, told, None),
                Event::Record { .. } | Event::Consumed { .. } => {
                    return Err(at(0, "this is a line of kafka-verifiable-consumer".to_owned())
                        .hint("does the file belong behind --consumed?")
                        .into());
                }
                Event::Sent { count } => {
                    sent = Some(count);
                    continue;
                }
                Event::Shutdown => {
                    shut_down = true;
                    continue;
                }
                Event::Other => continue,
            };
            let message = verifiable::value(&value)
                .ok_or_else(|| at(0, format!("the value {value:?} is no number of kafka-verifiable-producer")))?;
            let producer = self.producer(message.producer, name, number)?;
            if !self.tools.entry(producer).or_default().insert(message.seq) {
                return Err(at(0, format!("the value {value} of one producer is reported a second time"))
                    .hint("its runs can't be told apart: give each a --value-prefix of its own")
                    .into());
            }
            reported += 1;
            self.produced.period.add(Timestamp::from_millisecond(event.at_ms).ok());
            self.report(StreamId { producer, partition }, message.seq, told, offset.filter(|offset| *offset >= 0))?;
        }
        if !shut_down {
            self.produced
                .cut_off
                .push(format!("{name} ends before its producer had shut down: what it sent last may not be reported"));
        } else if let Some(sent) = sent.filter(|sent| *sent > reported && self.options.topic.is_none()) {
            self.produced.cut_off.push(format!("{name} reports {reported} of {sent} messages that its producer sent"));
        }
        Ok(())
    }

    fn producer(&mut self, producer: &str, name: &str, line: u64) -> Result<u16, Error> {
        let number = self.produced.names.number(producer);
        number.ok_or_else(|| too_many_producers(name, line).into())
    }

    fn report(&mut self, id: StreamId, sequence: u64, told: Told, offset: Option<i64>) -> Result<(), Error> {
        let told = if told == Told::Acked && self.options.acks_0 { Told::Unconfirmed } else { told };
        let stream = self.produced.book.number(id);
        self.produced.lines += 1;
        self.produced.repeated += u64::from(!self.produced.book.offer(stream, sequence));
        if told == Told::Acked
            && let Some(commit) = self.commits.get(&id.partition)
            && offset.is_none_or(|offset| offset >= commit.offset)
        {
            self.produced.book.entry_mut(stream).ahead.insert(sequence);
        }
        Ok(self.reports.add(&Report { stream, sequence, told, offset })?)
    }

    /// Ends reading: what Kafka's producers sent without an answer is offered too. Gives what is known, and
    /// the journal of reports.
    pub(super) fn finish(mut self) -> Result<(Produced, PathBuf), Error> {
        for (producer, reported) in std::mem::take(&mut self.tools) {
            let Some(last) = reported.max() else { continue };
            let mut unreported = RoaringTreemap::new();
            unreported.insert_range(0..=last);
            unreported -= &reported;
            if !unreported.is_empty() {
                let stream = self.produced.book.number(StreamId { producer, partition: ANY_PARTITION });
                self.produced.book.entry_mut(stream).offered |= unreported;
            }
        }
        self.produced.book.settle();
        let journal = self.reports.finish()?;
        Ok((self.produced, journal))
    }
}

pub(super) fn too_many_producers(name: &str, line: u64) -> Refusal {
    Refusal::at_line(name, line, format!("more than {PRODUCERS_MAX} names of producers"))
        .hint("a producer's name stands for one sequence of numbers: leave out of it what differs by message")
}

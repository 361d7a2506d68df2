//! Reading what consumers read.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use super::book::Names;
use super::diagnosis::diagnose;
use super::input::Input;
use super::lines::Lines;
use super::produced::too_many_producers;
use super::refusal::Refusal;
use super::row::{Kind, RowReader};
use super::source::{Format, Period, Topics, is_torn};
use super::spool::{Read, Records};
use super::verifiable::{self, Event};
use super::{Error, Options, text_of};

/// What all inputs of consumers tell.
pub(super) struct Consumed<'a> {
    options: &'a Options,
    pub records: Records,
    /// Records that were read, again and again included.
    pub lines: u64,
    pub partitions: BTreeSet<i32>,
    pub period: Period,
    /// Inputs of which something may be missing at their end, and why.
    pub cut_off: Vec<String>,
    /// Whether some input was written by a consumer, even if it holds no record.
    pub any: bool,
    /// Names of producers up to here were known before.
    known: usize,
    /// Some record is of a producer that produced.
    pub of_known_producer: bool,
    pub topics: Topics,
}

impl<'a> Consumed<'a> {
    pub(super) fn new(options: &'a Options, topics: Topics, known: usize, dir: &Path) -> Self {
        Self {
            options,
            records: Records::new(dir),
            lines: 0,
            partitions: BTreeSet::new(),
            period: Period::default(),
            cut_off: Vec::new(),
            any: false,
            known,
            of_known_producer: false,
            topics,
        }
    }

    /// Reads one input.
    pub(super) fn read(&mut self, path: &Path, names: &mut Names) -> Result<(), Error> {
        let mut lines = Lines::new(Input::open(path)?);
        let name = lines.name().to_owned();
        match Format::of(&mut lines, self.options.format, &name)? {
            Format::Jsonl => self.jsonl(&name, &mut lines, names),
            Format::KafkaVerifiable => self.tool(&name, &mut lines, names),
        }
    }

    fn jsonl(&mut self, name: &str, lines: &mut Lines, names: &mut Names) -> Result<(), Error> {
        let mut rows = RowReader::new(Kind::Consumed);
        while let Some(line) = lines.next()? {
            let number = line.number;
            if is_torn(&line) {
                self.cut_off.push(format!("the last line of {name} was cut off and is left out"));
                break;
            }
            let text = text_of(name, &line)?;
            let wrong = || diagnose(name, number, text, Kind::Consumed);
            let row = rows.read(text).map_err(|_| wrong())?;
            let (Some(producer), Some(partition), Some(sequence), Some(offset)) =
                (&row.producer, row.partition, row.seq, row.offset)
            else {
                return Err(wrong().into());
            };
            if !self.topics.takes(row.topic.as_deref(), name, number)? {
                continue;
            }
            let producer = names.number(producer).ok_or_else(|| too_many_producers(name, number))?;
            self.period.add(row.at);
            let processed = row.processed.unwrap_or(true);
            self.record(Read { partition, offset, message: Some((producer, sequence)), processed })?;
        }
        Ok(())
    }

    fn tool(&mut self, name: &str, lines: &mut Lines, names: &mut Names) -> Result<(), Error> {
        let (mut listed, mut handed_out) = (0_u64, 0_u64);
        self.any = true;
        while let Some(line) = lines.next()? {
            let number = line.number;
            if is_torn(&line) {
                self.cut_off.push(format!("the last line of {name} was cut off and is left out"));
                break;
            }
            let text = text_of(name, &line)?;
            let at = |byte: usize, message: String| Refusal::at(name, number, text.as_bytes(), byte, message);
            let event = verifiable::read(text).map_err(|(why, byte)| {
                at(byte, format!("this is no line of kafka-verifiable-consumer: {why}"))
                    .hint("give its standard output alone: its log goes to standard error")
            })?;
            if !self.topics.takes(event.topic.as_deref(), name, number)? {
                continue;
            }
            let (value, partition, offset) = match event.event {
                Event::Record { value, partition, offset } => (value, partition, offset),
                Event::Consumed { count } => {
                    handed_out += count;
                    if handed_out > 0 && listed == 0 {
                        return Err(at(0, "records were consumed, and no `record_data` line says which".to_owned())
                            .hint("run kafka-verifiable-consumer with --verbose")
                            .into());
                    }
                    continue;
                }
                Event::Success { .. } | Event::Error { .. } | Event::Sent { .. } => {
                    return Err(at(0, "this is a line of kafka-verifiable-producer".to_owned())
                        .hint("does the file belong behind --produced?")
                        .into());
                }
                Event::Shutdown | Event::Other => continue,
            };
            listed += 1;
            let message = match value.as_deref().and_then(verifiable::value) {
                Some(value) => {
                    let producer = names.number(value.producer).ok_or_else(|| too_many_producers(name, number))?;
                    Some((producer, value.seq))
                }
                None => None,
            };
            self.period.add(Timestamp::from_millisecond(event.at_ms).ok());
            self.record(Read { partition, offset, message, processed: true })?;
        }
        if listed < handed_out && self.options.topic.is_none() {
            self.cut_off.push(format!("{name} lists {listed} of {handed_out} records that its consumer was handed"));
        }
        Ok(())
    }

    fn record(&mut self, read: Read) -> Result<(), Error> {
        self.lines += 1;
        self.any = true;
        self.of_known_producer |= read.message.is_some_and(|(producer, _)| usize::from(producer) < self.known);
        self.partitions.insert(read.partition);
        Ok(self.records.add(read)?)
    }
}

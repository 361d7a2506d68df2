//! The journals of a group's members as one, in the order of time: which of two members processed a
//! message first is told by that alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lossproof_ledger::journal::{JournalError, JournalReader, Tail};
use lossproof_ledger::reconcile::Process;
use lossproof_ledger::record::Record;

/// Journals read side by side, each in its own order.
#[derive(Default)]
pub(super) struct Members {
    journals: Vec<Member>,
    /// Journals that have a next entry, by its time.
    due: BinaryHeap<Reverse<(u64, usize)>>,
}

struct Member {
    process: Process,
    reader: JournalReader,
    next: Option<Record>,
}

impl Members {
    /// Adds a journal; of entries of one moment, those of journals added earlier come first.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn add(&mut self, process: Process, mut reader: JournalReader) -> Result<(), JournalError> {
        let next = reader.next().transpose()?;
        if let Some(record) = &next {
            self.due.push(Reverse((time(record), self.journals.len())));
        }
        self.journals.push(Member { process, reader, next });
        Ok(())
    }

    /// The earliest of the entries that are left.
    ///
    /// # Errors
    /// If a journal can't be read.
    pub(super) fn next_record(&mut self) -> Result<Option<(Process, Record)>, JournalError> {
        let Some(mut first) = self.due.peek_mut() else {
            return Ok(None);
        };
        let member = &mut self.journals[first.0.1];
        let record = std::mem::replace(&mut member.next, member.reader.next().transpose()?);
        match &member.next {
            // Sinks only if another journal's is earlier now.
            Some(next) => first.0.0 = time(next),
            None => drop(std::collections::binary_heap::PeekMut::pop(first)),
        }
        Ok(record.map(|record| (member.process, record)))
    }

    /// How each journal ended, in the order in which they were added.
    ///
    /// # Errors
    /// If one can't be read.
    pub(super) fn finish(self) -> Result<Vec<(Process, Tail)>, JournalError> {
        self.journals.into_iter().map(|member| Ok((member.process, member.reader.finish()?))).collect()
    }
}

/// An entry that no member writes has no time; it is refused whenever it comes.
fn time(record: &Record) -> u64 {
    record.at_ns().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lossproof_ledger::journal::{Header, JournalWriter, Source};

    use super::*;

    /// A member's journal with entries at these moments, in microseconds.
    fn journal(dir: &Path, member: u16, moments: &[u64]) -> JournalReader {
        let source = Source::Consumer { member, incarnation: 0 };
        let header = Header { run: 7, profile: "p".to_owned(), source };
        let mut journal = JournalWriter::create(dir, &header).unwrap();
        for us in moments {
            journal.append(&Record::Assigned { partition: 0, at_ns: us * 1_000 }).unwrap();
        }
        journal.seal().unwrap();
        JournalReader::open(&dir.join(header.file_name())).unwrap()
    }

    #[test]
    fn entries_come_in_the_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut members = Members::default();
        for (member, moments) in [(0, &[1, 2, 9][..]), (1, &[]), (2, &[2, 3, 4, 10]), (3, &[5])] {
            let reader = journal(dir.path(), member, moments);
            members.add(Process { member, incarnation: 0 }, reader).unwrap();
        }
        let mut entries = Vec::new();
        while let Some((process, record)) = members.next_record().unwrap() {
            entries.push((record.at_ns().unwrap() / 1_000, process.member));
        }
        assert_eq!(entries, [(1, 0), (2, 0), (2, 2), (3, 2), (4, 2), (5, 3), (9, 0), (10, 2)]);
        let tails = members.finish().unwrap();
        assert_eq!(tails.iter().map(|(_, tail)| tail.records).collect::<Vec<_>>(), [3, 0, 4, 1]);
        assert!(tails.iter().all(|(_, tail)| tail.sealed));
    }
}

//! What both passes write down.

use std::collections::HashMap;

use super::authors::{Claim, StreamIndex, Who};
use super::image::Cell;
use super::partition::PartitionState;
use super::planes::Place;
use super::result::Strays;
use super::stream::{StreamState, offered};
use super::{ANY_PARTITION, Error, Facts, StreamId};

/// Sequences of a profile that can be reconciled: their bits take 13 GB.
const SEQUENCES_MAX: u64 = 1 << 34;
/// Partition numbers below this are looked up by index.
const NEAR_PARTITIONS: usize = 1024;

#[derive(Debug)]
pub(super) struct State {
    pub run: u64,
    pub streams: Vec<StreamState>,
    by_id: HashMap<StreamId, StreamIndex>,
    pub partitions: Vec<PartitionState>,
    near: Vec<Option<usize>>,
    far: HashMap<i32, usize>,
    pub strays: Strays,
    pub journals: usize,
    /// No stream has copies in several partitions, so that each partition's records count by themselves,
    /// whatever happens in others in between.
    pub apart: bool,
}

impl State {
    pub fn new(facts: &Facts) -> Result<Self, Error> {
        let sequences: u64 = facts.streams.iter().fold(0, |sum, stream| offered(&stream.offered).saturating_add(sum));
        if sequences > SEQUENCES_MAX {
            return Err(Error::TooMany { offered: sequences, limit: SEQUENCES_MAX });
        }

        let mut state = Self {
            run: facts.run,
            streams: Vec::with_capacity(facts.streams.len()),
            by_id: HashMap::new(),
            partitions: Vec::with_capacity(facts.partitions.len()),
            near: vec![None; NEAR_PARTITIONS],
            far: HashMap::new(),
            strays: Strays::default(),
            journals: facts.journals,
            apart: facts.streams.iter().all(|stream| stream.id.partition != ANY_PARTITION),
        };
        for p in &facts.partitions {
            if state.find_partition(p.partition).is_some() {
                let what = format!("partition {}", p.partition);
                return Err(Error::NamedTwice { what });
            }
            state.add_partition(PartitionState::new(p.partition, true, p.audit, p.position));
        }
        for stream in &facts.streams {
            let id = stream.id;
            if state.by_id.insert(id, state.streams.len() as StreamIndex).is_some() {
                let what = format!("producer {} in partition {}", id.producer, id.partition);
                return Err(Error::NamedTwice { what });
            }
            let stream = StreamState::new(stream);
            let home = state.partition(id.partition);
            state.partitions[home].counts.offered += stream.offered;
            state.streams.push(stream);
        }
        Ok(state)
    }

    /// The partition's index; one that the facts do not name was never audited.
    #[inline]
    pub fn partition(&mut self, partition: i32) -> usize {
        self.find_partition(partition).unwrap_or_else(|| self.add_unnamed_partition(partition))
    }

    #[cold]
    fn add_unnamed_partition(&mut self, partition: i32) -> usize {
        self.add_partition(PartitionState::new(partition, false, None, None))
    }

    #[inline]
    fn find_partition(&self, partition: i32) -> Option<usize> {
        match usize::try_from(partition).ok().and_then(|near| self.near.get(near)) {
            Some(near) => *near,
            None => self.far.get(&partition).copied(),
        }
    }

    #[cold]
    fn add_partition(&mut self, new: PartitionState) -> usize {
        let index = self.partitions.len();
        match usize::try_from(new.partition).ok().and_then(|near| self.near.get_mut(near)) {
            Some(near) => *near = Some(index),
            None => {
                self.far.insert(new.partition, index);
            }
        }
        self.partitions.push(new);
        index
    }

    /// The streams of a producer whose messages may be found in a partition, the likelier first.
    pub fn streams_of(&self, producer: u16, partition: i32) -> [Option<StreamIndex>; 2] {
        let by_id = |partition| self.by_id.get(&StreamId { producer, partition }).copied();
        in_order(by_id(partition).filter(|_| partition != ANY_PARTITION), by_id(ANY_PARTITION))
    }

    /// What an identity means at an offset of a partition.
    #[inline]
    pub fn cell(&mut self, partition: usize, offset: i64, identity: Option<&crate::record::Identity>) -> Cell {
        let Self { run, by_id, partitions, .. } = self;
        let p = &mut partitions[partition];
        let found = p.partition;
        p.cell(offset, identity, |who| streams_of_author(*run, by_id, who, found))
    }

    /// The sequence of a cell; none if it was never offered in that partition.
    #[inline]
    pub fn sequence_of(&mut self, partition: usize, cell: Cell) -> Option<Found> {
        let author = self.partitions[partition].author(cell)?;
        let attempt = author.who.attempt;
        for claim in author.streams {
            let Claim { stream, highest } = claim?;
            if let Some(place) = self.streams[stream as usize].planes.place(cell.sequence) {
                return Some(Found { stream: stream as usize, place, highest: highest as usize, attempt });
            }
        }
        None
    }

    /// Sequences offered in a stream, 0 if there is no such stream.
    pub fn offered(&self, stream: StreamId) -> u64 {
        self.by_id.get(&stream).map_or(0, |index| self.streams[*index as usize].offered)
    }
}

/// An offered sequence, as a record's payload names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Index of the stream.
    pub stream: usize,
    pub place: Place,
    /// Index into [`super::authors::Authors::highest`].
    pub highest: usize,
    pub attempt: u16,
}

fn streams_of_author(
    run: u64,
    by_id: &HashMap<StreamId, StreamIndex>,
    who: &Who,
    found: i32,
) -> [Option<StreamIndex>; 2] {
    if who.run != run {
        return [None; 2];
    }
    let stream = |partition| by_id.get(&StreamId { producer: who.producer, partition }).copied();
    let here = stream(found).filter(|_| who.partition == found && found != ANY_PARTITION);
    in_order(here, stream(ANY_PARTITION))
}

/// Without a gap.
fn in_order(likelier: Option<StreamIndex>, other: Option<StreamIndex>) -> [Option<StreamIndex>; 2] {
    if likelier.is_some() { [likelier, other] } else { [other, None] }
}

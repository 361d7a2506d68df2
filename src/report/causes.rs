//! Causes in words. What is not known is not said, or said to be unknown.

use lossproof_ledger::category::{Category, Told};
use lossproof_ledger::cause::{Cause, DestroyedBy, Explained, ExposedBy};
use lossproof_ledger::reconcile::Finding;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::terminal::words::{count, millis, process, thousands};

/// Why a range was lost, as one clause without times and offsets: ranges that were lost alike read alike.
pub(super) fn clause(range: &Explained, cause: &Cause) -> String {
    let mut parts = vec![exposure(range, cause)];
    let rejoined = cause.exposed_by.iter().any(|e| matches!(e, ExposedBy::IsolatedLeader { .. }));
    parts.extend(cause.destroyed_by.iter().filter_map(|destroyed| destruction(destroyed, cause, rejoined)));
    if cause.is_unexplained() {
        parts.push("unexplained".to_owned());
    } else if cause.destroyed_by.is_empty() {
        parts.push("what destroyed it is not known".to_owned());
    }
    let mut clause = parts.join(", ");
    for exposed in &cause.exposed_by {
        if let ExposedBy::IsolatedLeader { broker, epoch, .. } = exposed {
            clause.push_str(&format!(" (broker {broker}, cut off from its peers, epoch {epoch})"));
        }
    }
    clause
}

/// What was done to them before, and in what danger they were.
fn exposure(range: &Explained, cause: &Cause) -> String {
    let told = match (range.finding, range.told) {
        (Finding::Category(Category::LostByConsumer), _) => "in the log",
        (Finding::Category(Category::Expired), _) => "in the log once",
        (_, Some(Told::Acked)) => "acknowledged",
        (_, Some(Told::Unconfirmed)) => "sent without asking for an acknowledgement (acks=0)",
        (_, Some(Told::Failed)) => "refused",
        (_, Some(Told::Unsent)) => "not sent",
        (_, Some(Told::Indeterminate)) => "never acknowledged",
        (_, None) => "never answered",
    };
    let exposures: Vec<String> = cause.exposed_by.iter().map(in_danger).collect();
    let by = match (exposures.is_empty(), range.told, range.broker) {
        (true, Some(Told::Acked), Some(broker)) => format!(" by broker {broker}"),
        _ => String::new(),
    };
    match exposures.is_empty() {
        true => format!("{told}{by}"),
        false => format!("{told} {}", exposures.join(" and ")),
    }
}

fn in_danger(exposed: &ExposedBy) -> String {
    match exposed {
        // Which one stands at the end.
        ExposedBy::IsolatedLeader { .. } => "by an isolated leader".to_owned(),
        ExposedBy::UnreplicatedTail { broker, epoch } => {
            format!("by broker {broker} alone (acks=1, epoch {epoch})")
        }
        ExposedBy::ShrunkIsr { broker, epoch, .. } => {
            format!("by broker {broker} with no other replica in sync (epoch {epoch})")
        }
        ExposedBy::UnflushedTail { broker, .. } => format!("while only in the memory of broker {broker}"),
        ExposedBy::LeaderAway { broker: Some(broker), .. } => {
            format!("while its leader, broker {broker}, did not answer")
        }
        ExposedBy::LeaderAway { broker: None, .. } => "while its partition had no leader".to_owned(),
        ExposedBy::LeaderHit { broker, fault } => {
            format!("while fault {} hit its leader, broker {broker}", fault + 1)
        }
        ExposedBy::HandedOut { member, incarnation, .. } => {
            format!("and handed to member {}, which had not processed it", process(*member, *incarnation))
        }
        ExposedBy::OffsetsRead { member, incarnation, .. } => {
            let process = process(*member, *incarnation);
            format!("at an offset at which member {process} had read another message, lost since")
        }
    }
}

/// None where another part says it already.
fn destruction(destroyed: &DestroyedBy, cause: &Cause, rejoined: bool) -> Option<String> {
    let truncated = cause.destroyed_by.iter().any(|d| matches!(d, DestroyedBy::Truncation { .. }));
    let came_back = |d: &DestroyedBy| matches!(d, DestroyedBy::LogCutShort { .. } | DestroyedBy::DiskLost { .. });
    let cut_short = cause.destroyed_by.iter().any(came_back);
    Some(match destroyed {
        DestroyedBy::Election { .. } if truncated && rejoined || cut_short => return None,
        DestroyedBy::Election { leader, epoch, unclean, .. } => {
            let unclean = if *unclean { ", which was not in sync" } else { "" };
            match leader {
                Some(leader) => format!("not in the log of the next leader, broker {leader} (epoch {epoch}){unclean}"),
                None => format!("not in the log of the next leader (epoch {epoch})"),
            }
        }
        DestroyedBy::Truncation { .. } if rejoined => "truncated when it rejoined".to_owned(),
        DestroyedBy::Truncation { broker, .. } => format!("truncated when broker {broker} followed it"),
        DestroyedBy::LogCutShort { broker, .. } => format!("gone from its log when broker {broker} came back"),
        DestroyedBy::DiskLost { broker, .. } => format!("gone with the disk of broker {broker}"),
        DestroyedBy::Retention { .. } => "removed by retention before it was processed".to_owned(),
        DestroyedBy::Deletion { .. } => "deleted on demand before it was processed".to_owned(),
        DestroyedBy::Commit { member, incarnation, closing, .. } => {
            let leaving = if *closing { " as it left its partition" } else { "" };
            format!("passed over by a commit of member {}{leaving}", process(*member, *incarnation))
        }
        DestroyedBy::Skip { member, incarnation, .. } => {
            format!("jumped over by member {}", process(*member, *incarnation))
        }
        DestroyedBy::Reset { .. } => {
            "passed over by `auto.offset.reset`, as the group had no committed offset".to_owned()
        }
        DestroyedBy::Refused { error } => error_name(*error),
        DestroyedBy::GivenUp { error } => format!("given up by the client: {}", error_name(*error)),
        DestroyedBy::QueueFull => "dropped, as the client's queue was full".to_owned(),
        DestroyedBy::NotTaken { error } => format!("not taken by the client: {}", error_name(*error)),
        DestroyedBy::ClientEnded { how: Some(how), fault } => {
            format!("still in the client's hands when it ended ({how}){}", by(*fault))
        }
        DestroyedBy::ClientEnded { how: None, .. } => "of which its client said nothing".to_owned(),
        DestroyedBy::Unconfirmed => "so that nobody noticed".to_owned(),
        DestroyedBy::NotCommitted => "in a transaction that was not committed".to_owned(),
    })
}

/// How sentences speak of a range.
#[derive(Clone, Copy)]
struct Them {
    /// Beginning a sentence.
    they: &'static str,
    were: &'static str,
    them: &'static str,
    their: &'static str,
}

impl Them {
    const fn of(range: &Explained) -> Self {
        match range.messages() {
            1 => Self { they: "It", were: "was", them: "it", their: "Its" },
            _ => Self { they: "They", were: "were", them: "them", their: "Their" },
        }
    }
}

/// A cause with its evidence, a sentence each.
pub(super) fn sentences(range: &Explained, cause: &Cause) -> Vec<String> {
    let whom = Them::of(range);
    let Them { they, were, them, .. } = whom;
    let mut said: Vec<String> = cause.exposed_by.iter().map(|exposed| exposed_sentence(exposed, whom)).collect();
    said.extend(cause.destroyed_by.iter().map(|destroyed| destroyed_sentence(destroyed, whom)));
    if cause.exposed_by.is_empty() && range.told == Some(Told::Acked) && !cause.destroyed_by.is_empty() {
        said.push(format!("What laid {them} open to that is not known."));
    }
    if let Some(fault) = cause.edge_of {
        said.push(format!(
            "{they} {were} acknowledged between the call of fault {} and its proof: at its edge, so that it can't be \
             said whether the fault held already.",
            fault + 1
        ));
    }
    if cause.is_unexplained() {
        said.push("Nothing that was recorded explains this: unexplained, and still a loss.".to_owned());
    }
    said
}

fn exposed_sentence(exposed: &ExposedBy, whom: Them) -> String {
    let Them { they, were, them, their } = whom;
    match exposed {
        ExposedBy::IsolatedLeader { broker, epoch, claimed_ms, log_end, fault } => {
            let mut evidence = Vec::new();
            if let Some(ms) = claimed_ms {
                evidence.push(format!("it claimed to lead for {} after another had been elected", millis(*ms)));
            }
            if let Some(end) = log_end {
                let end = offset_of(*end);
                evidence.push(format!("its log was seen to end at {end} while others held a later epoch"));
            }
            format!(
                "{they} {were} acknowledged by an isolated leader: broker {broker} (epoch {epoch}) led on, cut off \
                 from its peers{}; {}.",
                during(*fault),
                evidence.join(", and ")
            )
        }
        ExposedBy::UnreplicatedTail { broker, epoch } => format!(
            "Broker {broker} (epoch {epoch}) acknowledged {them} alone, as acks=1 allows; the next leader had not \
             fetched {them}."
        ),
        ExposedBy::ShrunkIsr { broker, epoch, since_ns } => format!(
            "Broker {broker} (epoch {epoch}) was the only replica in sync since {}, so nobody else had to have {them}.",
            at(*since_ns)
        ),
        ExposedBy::UnflushedTail { broker, silent_ns } => format!(
            "Broker {broker}, which did not answer from {} on, had not written {them} to its disk.",
            at(*silent_ns)
        ),
        ExposedBy::LeaderAway { broker: Some(broker), from_ns, fault } => format!(
            "{their} partition's leader, broker {broker}, did not answer from {} on{}.",
            at(*from_ns),
            during(*fault)
        ),
        ExposedBy::LeaderAway { broker: None, from_ns, fault } => {
            format!("{their} partition had no leader from {} on{}.", at(*from_ns), during(*fault))
        }
        ExposedBy::LeaderHit { broker, fault } => {
            format!("{their} partition's leader, broker {broker}, was hit by fault {} meanwhile.", fault + 1)
        }
        ExposedBy::HandedOut { member, incarnation, messages } => {
            let (process, handed) = (process(*member, *incarnation), count(*messages, "record", "records"));
            format!("Member {process} was handed {handed} of this and did not process any.")
        }
        ExposedBy::OffsetsRead { member, incarnation, messages } => {
            let (process, offsets) = (process(*member, *incarnation), count(*messages, "offset", "offsets"));
            format!("At {offsets} of this member {process} had read other messages, which the log has lost since.")
        }
    }
}

fn destroyed_sentence(destroyed: &DestroyedBy, whom: Them) -> String {
    let Them { they, were, them, .. } = whom;
    match destroyed {
        DestroyedBy::Election { leader, epoch, start_offset, seen_ns, unclean, fault } => {
            let who = leader.map_or("the next leader".to_owned(), |leader| format!("broker {leader}"));
            let when = seen_ns.map(|ns| format!(", heard of at {}", at(ns))).unwrap_or_default();
            let unclean = if *unclean { " It had not been in sync: an unclean election." } else { "" };
            let (fault, start) = (during(*fault), offset_of(*start_offset));
            format!(
                "The election of {who} (epoch {epoch}{when}){fault} set the log to go on at offset {start}, without \
                 {them}.{unclean}"
            )
        }
        DestroyedBy::Truncation { broker, from, to, logged_ns } => {
            let (from, to) = (offset_of(*from), offset_of(*to));
            let logged = logged_ns.map(|ns| format!(", as its own log file says at {}", at(ns))).unwrap_or_default();
            format!(
                "When it followed the new leader, broker {broker} truncated its log, which had reached {from}, to \
                 {to}{logged}."
            )
        }
        DestroyedBy::LogCutShort { broker, silent_ns, fault } => format!(
            "Broker {broker}, away from {} on{}, came back with a log that ends before {them}.",
            at(*silent_ns),
            during(*fault)
        ),
        DestroyedBy::DiskLost { broker, fault } => {
            format!("Fault {} emptied the disk of broker {broker}, and {they} {were} gone with it.", fault + 1)
        }
        DestroyedBy::Deletion { before, fault } => {
            let before = offset_of(*before);
            format!("Fault {} deleted {them}, as all records before offset {before}.", fault + 1)
        }
        DestroyedBy::Retention { log_start } => {
            format!("Retention removed {them}: the log began at offset {} when it was audited.", offset_of(*log_start))
        }
        DestroyedBy::Commit { member, incarnation, offset, at_ns, closing } => {
            let leaving = if *closing { ", as it left its partition" } else { "" };
            let process = process(*member, *incarnation);
            format!(
                "Member {process} committed offset {}, beyond {them}, at {}{leaving}.",
                offset_of(*offset),
                at(*at_ns)
            )
        }
        DestroyedBy::Skip { member, incarnation, to, at_ns } => {
            let process = process(*member, *incarnation);
            format!(
                "Member {process} was handed offset {} at {}, right after one before {them}.",
                offset_of(*to),
                at(*at_ns)
            )
        }
        DestroyedBy::Reset { position } => format!(
            "The group had no committed offset, and `auto.offset.reset` set it to offset {}, beyond {them}.",
            offset_of(*position)
        ),
        DestroyedBy::Refused { error } => format!("{they} {were} refused: {}.", error_name(*error)),
        DestroyedBy::GivenUp { error } => format!("The client gave {them} up: {}.", error_name(*error)),
        DestroyedBy::QueueFull => format!("The client's queue was full, and the application dropped {them}."),
        DestroyedBy::NotTaken { error } => format!("The client did not take {them}: {}.", error_name(*error)),
        DestroyedBy::ClientEnded { how: Some(how), fault } => {
            let by = by(*fault);
            format!("The client had {them} in hand when it ended ({how}){by}, and never said what became of {them}.")
        }
        DestroyedBy::ClientEnded { how: None, .. } => format!("The client never said what became of {them}."),
        DestroyedBy::NotCommitted => format!("{they} {were} sent in a transaction that was not committed."),
        DestroyedBy::Unconfirmed => {
            format!("With acks=0 nobody is asked whether {} arrived, so nobody noticed.", they.to_lowercase())
        }
    }
}

fn by(fault: Option<usize>) -> String {
    fault.map(|fault| format!(" by fault {}", fault + 1)).unwrap_or_default()
}

fn during(fault: Option<usize>) -> String {
    fault.map(|fault| format!(" during fault {}", fault + 1)).unwrap_or_default()
}

/// A time since the run's start, to the millisecond: a message's life is told in those.
pub(super) fn at(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("+{}.{:03}s", ms / 1_000, ms % 1_000)
}

/// An offset as people read numbers.
fn offset_of(offset: i64) -> String {
    u64::try_from(offset).map_or_else(|_| offset.to_string(), thousands)
}

/// librdkafka's name and words for an error.
pub(super) fn error_name(code: i32) -> String {
    RDKafkaRespErr::try_from(code)
        .map_or_else(|_| format!("error {code}"), |error| RDKafkaErrorCode::from(error).to_string())
}

//! The story as text that reads well on a terminal and in a pipe.

use std::fmt::Write;

use lossproof_ledger::cause::Explained;

use super::moments::Moment;
use super::{Explanation, MessageStory, PartitionStory, ProfileStory, RangeStory};
use crate::report::causes::at;
use crate::report::terminal::words::{count, thousands, wrapped};

/// Where lines are broken.
const WIDTH: usize = 118;

impl Explanation {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Profiles(profiles) => {
                for (index, profile) in profiles.iter().enumerate() {
                    if index > 0 {
                        text.push('\n');
                    }
                    self::profile(&mut text, profile);
                }
            }
            Self::Messages(messages) => {
                for message in messages {
                    self::message(&mut text, message);
                }
            }
        }
        text
    }

    /// For programs.
    ///
    /// # Errors
    /// None in practice: all of it has a JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn profile(text: &mut String, story: &ProfileStory) {
    let ProfileStory { profile, offered, lost, losses, ranges, ranges_left_out, partitions } = story;
    line(text, "", &format!("{profile}: {} of {} messages lost", thousands(*lost), thousands(*offered)));
    for loss in losses {
        line(text, "  ", &format!("{} lost: {}", thousands(loss.messages), loss.cause));
    }
    for PartitionStory { partition, timeline } in partitions {
        text.push('\n');
        line(text, "  ", &format!("Partition {partition}, time since the run's start"));
        self::timeline(text, timeline);
    }
    let mut told: Option<&[String]> = None;
    for (index, RangeStory { range, sentences }) in ranges.iter().enumerate() {
        if told != Some(sentences) {
            text.push('\n');
        }
        told = Some(sentences);
        line(text, "  ", &title(profile, range));
        // Ranges with the same story have it told once, below the last of them.
        if ranges.get(index + 1).is_none_or(|next| next.sentences != *sentences) {
            for sentence in sentences {
                line(text, "    ", sentence);
            }
        }
    }
    if ranges_left_out.ranges > 0 {
        text.push('\n');
        let ranges = count(ranges_left_out.ranges, "smaller range", "smaller ranges");
        let messages = count(ranges_left_out.messages, "message", "messages");
        line(text, "  ", &format!("and {ranges} of {messages}; `explain` with a message's name tells of any"));
    }
}

/// A range with its size, and where it was acknowledged.
fn title(profile: &str, range: &Explained) -> String {
    let offsets = match range.offsets {
        Some((low, high)) if low == high => format!(", acknowledged at offset {low}"),
        Some((low, high)) => format!(", acknowledged at offsets {low} to {high}"),
        None => String::new(),
    };
    let name = format!("{profile}/{}:{}", range.stream.partition, range.first);
    let name = if range.first == range.last { name } else { format!("{name} to {}", range.last) };
    format!("{name} ({}){offsets}", count(range.messages(), "message", "messages"))
}

fn message(text: &mut String, story: &MessageStory) {
    let MessageStory { profile, stream, sequence, timeline, conclusion, .. } = story;
    line(text, "", &format!("{profile}/{}:{sequence}, its life as time since the run's start", stream.partition));
    text.push('\n');
    self::timeline(text, timeline);
    text.push('\n');
    for sentence in conclusion {
        line(text, "", sentence);
    }
}

fn timeline(text: &mut String, moments: &[Moment]) {
    for moment in moments {
        let time = at(moment.at_ns);
        line(text, &format!("  {time:>11}  "), &moment.what);
    }
}

/// Broken between words; the label stands before the first line, blanks before the others.
fn line(text: &mut String, label: &str, sentence: &str) {
    let width = label.chars().count();
    for (number, line) in wrapped(sentence, WIDTH.saturating_sub(width)).iter().enumerate() {
        let before = if number == 0 { label } else { "" };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{before:width$}{line}");
    }
}

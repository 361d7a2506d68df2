//! Numbers, times and names as people read them.

use std::time::Duration;

use lossproof_ledger::event::Phase;

/// `1234567` as `1,234,567`.
pub(in crate::report) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Milliseconds to the precision a person needs: `840 ms`, `8.2 s`, `2 min 05 s`.
pub(in crate::report) fn millis(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => {
            let tenths = ms / 100;
            if tenths.is_multiple_of(10) {
                format!("{} s", tenths / 10)
            } else {
                format!("{}.{} s", tenths / 10, tenths % 10)
            }
        }
        _ => format!("{} min {:02} s", ms / 60_000, ms / 1_000 % 60),
    }
}

/// Time since the run's start, `+12.3s`.
pub(super) fn offset(since_start: Duration) -> String {
    let tenths = since_start.as_millis() / 100;
    format!("+{}.{}s", tenths / 10, tenths % 10)
}

/// `one broker`, `3 brokers`.
pub(in crate::report) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("one {one}") } else { format!("{} {many}", thousands(number)) }
}

/// Lines of at most so many columns, broken between words; a longer word has a line of its own.
pub(in crate::report) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `broker 2`, `brokers 1 and 3`.
pub(in crate::report) fn brokers(ids: &[i32]) -> String {
    match ids {
        [] => "no broker".to_owned(),
        [one] => format!("broker {one}"),
        [init @ .., last] => {
            let init: Vec<String> = init.iter().map(ToString::to_string).collect();
            format!("brokers {} and {last}", init.join(", "))
        }
    }
}

/// Whom a fault hit: `broker 2`, `resilient consumer 0 and resilient consumer 1`.
pub(in crate::report) fn whom(ids: &[i32], clients: &[String]) -> String {
    match clients {
        [] => brokers(ids),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// Which process of a group's member or of a producer: `0`, or `0 (restart 1)`.
pub(in crate::report) fn process(member: u16, incarnation: u16) -> String {
    match incarnation {
        0 => member.to_string(),
        n => format!("{member} (restart {n})"),
    }
}

/// What happens in a phase, where its name does not say it.
pub(super) const fn meaning(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Provision => Some("the cluster and the topics are made ready"),
        Phase::WarmUp => Some("clients run undisturbed"),
        Phase::Faults => None,
        Phase::Recover => Some("all replicas in sync again is awaited"),
        Phase::AfterRecovery => Some("clients run on"),
        Phase::Drain => Some("producers finish, consumers come to the end of the log"),
        Phase::Audit => Some("the whole log is read"),
        Phase::Judge => Some("every message is accounted for"),
        Phase::TearDown => Some("everything of this run is removed"),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, "0")]
    #[test_case(999, "999")]
    #[test_case(1_000, "1,000")]
    #[test_case(73_411, "73,411")]
    #[test_case(100_000, "100,000")]
    #[test_case(u64::MAX, "18,446,744,073,709,551,615")]
    fn digits_stand_in_groups_of_three(number: u64, expected: &str) {
        assert_eq!(thousands(number), expected);
    }

    #[test_case(0, "0 ms")]
    #[test_case(999, "999 ms")]
    #[test_case(1_000, "1 s")]
    #[test_case(8_249, "8.2 s")]
    #[test_case(119_999, "119.9 s")]
    #[test_case(125_000, "2 min 05 s")]
    fn times_take_the_unit_that_suits_them(ms: u64, expected: &str) {
        assert_eq!(millis(ms), expected);
    }

    #[test_case(&[], "no broker")]
    #[test_case(&[2], "broker 2")]
    #[test_case(&[1, 2, 3], "brokers 1, 2 and 3")]
    fn brokers_are_listed_as_in_a_sentence(ids: &[i32], expected: &str) {
        assert_eq!(brokers(ids), expected);
    }
}

//! The name of a message: `PROFILE/PARTITION:SEQUENCE`, the profile only where it is needed.

use std::str::FromStr;

use lossproof_ledger::reconcile::StreamId;

use super::ExplainError;
use crate::report::judge::Examined;
use crate::report::terminal::words::thousands;

/// What a user calls a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageName {
    /// None: whichever profile has it.
    pub profile: Option<String>,
    /// Partition.
    pub partition: i32,
    /// Sequence within its stream, from 0.
    pub sequence: u64,
}

impl FromStr for MessageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = "a message is named PROFILE/PARTITION:SEQUENCE, such as baseline/0:12345";
        let (profile, rest) = match text.rsplit_once('/') {
            Some((profile, rest)) => (Some(profile.to_owned()), rest),
            None => (None, text),
        };
        let (partition, sequence) = rest.split_once(':').ok_or(shape)?;
        let partition = partition.parse().map_err(|_| format!("`{partition}` is no partition: {shape}"))?;
        // As reports print them.
        let digits = sequence.replace(',', "");
        let sequence = digits.parse().map_err(|_| format!("`{sequence}` is no sequence: {shape}"))?;
        Ok(Self { profile, partition, sequence })
    }
}

/// The streams that hold a message of that name, all of one profile.
pub(super) fn find(run: &Examined, name: &MessageName) -> Result<Vec<(String, StreamId)>, ExplainError> {
    let refuse = |what: String| Err(ExplainError::NoSuchMessage { what });
    let profiles: Vec<&str> = run.explained.keys().map(String::as_str).collect();
    let MessageName { partition, sequence, .. } = *name;
    let asked: Vec<&str> = match &name.profile {
        Some(profile) => match profiles.iter().find(|known| *known == profile) {
            Some(known) => vec![known],
            None => return refuse(format!("there is no profile `{profile}`; there are {}", profiles.join(", "))),
        },
        None => profiles,
    };
    let mut found: Vec<(String, StreamId)> = Vec::new();
    let mut offered = Vec::new();
    for profile in &asked {
        for (stream, next) in run.journals.offered(profile) {
            if stream.partition == partition && sequence < next {
                found.push(((*profile).to_owned(), stream));
            }
            offered.push((*profile, stream, next));
        }
    }
    if found.is_empty() {
        let here: Vec<String> = offered
            .iter()
            .filter(|(_, stream, next)| stream.partition == partition && *next > 0)
            .map(|(profile, _, next)| format!("{profile}/{partition}:0 to {}", thousands(next - 1)))
            .collect();
        if !here.is_empty() {
            return refuse(format!(
                "{sequence} was never offered in partition {partition}; there are {}",
                here.join(", ")
            ));
        }
        let mut partitions: Vec<String> =
            offered.iter().map(|(profile, stream, _)| format!("{profile}/{}", stream.partition)).collect();
        partitions.dedup();
        return refuse(format!("nothing was offered in partition {partition}; there are {}", partitions.join(", ")));
    }
    if found.iter().any(|(profile, _)| *profile != found[0].0) {
        let names: Vec<String> = found.iter().map(|(profile, _)| format!("{profile}/{partition}:{sequence}")).collect();
        return refuse(format!("{partition}:{sequence} may be {}; say which", names.join(" or ")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_lack_its_profile_and_have_separators() {
        let name = |profile: Option<&str>, partition, sequence| {
            Ok(MessageName { profile: profile.map(str::to_owned), partition, sequence })
        };
        assert_eq!("baseline/0:12345".parse::<MessageName>(), name(Some("baseline"), 0, 12345));
        assert_eq!("2:12,345".parse::<MessageName>(), name(None, 2, 12345));
        for wrong in ["", "baseline", "baseline/0", "baseline/x:1", "0:x", "0:-1"] {
            let said = wrong.parse::<MessageName>().unwrap_err();
            assert!(said.contains("such as baseline/0:12345"), "{said}");
        }
    }
}

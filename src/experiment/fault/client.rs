//! Faults of client processes.

use std::fmt;

use super::HeldRule;
use crate::experiment::check::Check;
use crate::experiment::hint::did_you_mean;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::value::{integer, word};
use crate::experiment::{Problem, Profile, Word};

/// What is done to the processes of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFault {
    /// SIGKILL; `held` is how long they stay away before they are started again.
    Kill(ChosenClients),
    /// SIGSTOP, and later SIGCONT.
    Pause(ChosenClients),
    /// They are asked to end; `held` is how long from then on until they are started again.
    Stop(ChosenClients),
}

/// Clients by their part in the experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenClients {
    /// Of this profile; none for all.
    pub profile: Option<String>,
    /// Of this role.
    pub role: ClientRole,
    /// This one of a group's members; none for all.
    pub member: Option<u16>,
}

/// A client's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRole {
    /// It offers messages.
    Producer,
    /// It reads them.
    Consumer,
}

impl Word for ClientRole {
    const WORDS: &'static [(&'static str, Self)] = &[("producer", Self::Producer), ("consumer", Self::Consumer)];
}

/// The word for all profiles.
pub(in crate::experiment) const ALL: &str = "all";
/// As many as a group may have.
const MEMBER_MAX: u16 = 15;

impl ChosenClients {
    /// Whether this client of that profile is among them.
    #[must_use]
    pub fn contains(&self, profile: &str, role: ClientRole, member: u16) -> bool {
        self.role == role && self.has_profile(profile) && self.member.is_none_or(|own| own == member)
    }

    /// Whether clients of that profile are among them.
    #[must_use]
    pub fn has_profile(&self, profile: &str) -> bool {
        self.profile.as_deref().is_none_or(|own| own == profile)
    }

    /// Whether some client is among both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> bool {
        self.role == other.role
            && self.member.is_none_or(|own| other.member.is_none_or(|other| own == other))
            && self.profile.as_deref().is_none_or(|own| other.has_profile(own))
    }

    /// Whether it may name several.
    const fn is_many(&self) -> bool {
        self.profile.is_none() || matches!((self.role, self.member), (ClientRole::Consumer, None))
    }

    /// The verb for it.
    const fn is(&self) -> &'static str {
        if self.is_many() { "are" } else { "is" }
    }

    fn read(check: &mut Check, raw: &raw::Clients) -> Option<Self> {
        let role = check.read(&raw.role, |text| word(text, "role"));
        let member = match &raw.member {
            Some(text) => check.read(text, |text| integer(text, "number of a group's member", 0, MEMBER_MAX)).map(Some),
            None => Some(None),
        };
        let (role, member) = (role?, member?);
        if let (ClientRole::Producer, Some(text)) = (role, &raw.member) {
            let problem = Problem::new("a profile has one producer, and no `member` of it")
                .at(&check.span(text), "not here")
                .hint("remove it; a producer's process serves all partitions");
            check.report(problem);
            return None;
        }
        let profile = (raw.profile.value != ALL).then(|| raw.profile.value.clone());
        let chosen = Self { profile, role, member };
        let profile_at = check.span(&raw.profile);
        let member_at = raw.member.as_ref().map_or_else(|| profile_at.clone(), |text| check.span(text));
        check.clients.push((chosen.clone(), profile_at, member_at));
        Some(chosen)
    }
}

impl fmt::Display for ChosenClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.word();
        match (self.member, &self.profile) {
            (Some(member), Some(profile)) => write!(f, "{role} {member} of {profile}"),
            (Some(member), None) => write!(f, "{role} {member} of each profile"),
            (None, Some(profile)) if self.is_many() => write!(f, "all {role}s of {profile}"),
            (None, Some(profile)) => write!(f, "the {role} of {profile}"),
            (None, None) => write!(f, "the {role}s of all profiles"),
        }
    }
}

impl ClientFault {
    pub(super) const NAMES: [&'static str; 3] = ["client_kill", "client_pause", "client_stop"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Kill(_) => "client_kill",
            Self::Pause(_) => "client_pause",
            Self::Stop(_) => "client_stop",
        }
    }

    /// Whom it hits.
    #[must_use]
    pub const fn chosen(&self) -> &ChosenClients {
        match self {
            Self::Kill(chosen) | Self::Pause(chosen) | Self::Stop(chosen) => chosen,
        }
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Kill(_) | Self::Stop(_) => "started again, as the next incarnation",
            Self::Pause(_) => "goes on, the same process",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Kill(_) | Self::Stop(_) => HeldRule::NeededOrForever("how long the client stays away"),
            Self::Pause(_) => HeldRule::Needed("how long the client is stopped"),
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(kill) = &raw.client_kill {
            return ChosenClients::read(check, &kill.value).map(Self::Kill);
        }
        if let Some(pause) = &raw.client_pause {
            return ChosenClients::read(check, &pause.value).map(Self::Pause);
        }
        ChosenClients::read(check, &raw.client_stop.as_ref()?.value).map(Self::Stop)
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let ChosenClients { profile, role, member } = self.chosen();
        let clients = Some(spanned(raw::Clients {
            profile: text(profile.as_deref().unwrap_or(ALL)),
            role: text(role.word()),
            member: member.map(text),
        }));
        match self {
            Self::Kill(_) => raw.client_kill = clients,
            Self::Pause(_) => raw.client_pause = clients,
            Self::Stop(_) => raw.client_stop = clients,
        }
    }
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(chosen) => write!(f, "kill -9 of {chosen}"),
            Self::Pause(chosen) => write!(f, "{chosen} {} stopped (SIGSTOP)", chosen.is()),
            Self::Stop(chosen) => write!(f, "{chosen} {} asked to end", chosen.is()),
        }
    }
}

/// Refuses clients that the experiment does not have; `names` are those of all its profiles.
pub fn clients_exist(check: &mut Check, profiles: &[Profile], names: &[&str]) {
    for (chosen, profile_at, member_at) in std::mem::take(&mut check.clients) {
        if let Some(profile) = chosen.profile.as_deref().filter(|profile| !names.contains(profile)) {
            let problem = Problem::new(format!("there is no profile `{profile}` in this experiment"))
                .at(&profile_at, format!("expected `{ALL}`, or the name of a profile"))
                .hint_if(did_you_mean(profile, names.iter().copied().chain([ALL])));
            check.report(problem);
        }
        let Some(member) = chosen.member else { continue };
        let short = |profile: &&Profile| chosen.has_profile(&profile.name) && member >= profile.consumer.members;
        for profile in profiles.iter().filter(short) {
            let members = profile.consumer.members;
            let there =
                if members == 1 { "member 0 alone".to_owned() } else { format!("members 0 to {}", members - 1) };
            let problem = Problem::new(format!("the group of `{}` has no member {member}", profile.name))
                .at(&member_at, format!("it has {there}"))
                .hint("`consumer: { members: … }` of the profile says how many there are");
            check.report(problem);
        }
    }
}

//! What the kernel under the containers can do to packets, found by doing it.
//!
//! It is tried on a pair of interfaces of its own, which are removed again; nobody's packets are touched.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;

use super::delays;
use super::effect::{Action, Effect};
use super::plan::needs_ingress;

/// Something that a kernel has or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Classes and rates: every effect.
    Htb,
    /// Which packet is concerned: every effect.
    Classifier,
    /// A queue with a limit: bandwidth.
    Fifo,
    /// A queue that drops silently: cut, loss.
    Blackhole,
    /// Effects on what comes in.
    Ingress,
    /// Netem, or else a queue of netfilter whose packets a program holds back: latency.
    Delay,
}

/// Whether a kernel has something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// What it is.
    pub need: Need,
    /// Whether it was made to work.
    pub there: bool,
    /// What the kernel said where it did not.
    pub said: String,
}

/// All that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Each need once.
    pub all: Vec<Capability>,
}

/// The interfaces it is tried on.
const TRIAL: &str = "lossprooftry";
const TRIAL_IFB: &str = "lossprooftry2";
const ADD: &str = "ip link add lossprooftry type veth peer name lossprooftry1";
const REMOVE: &str = "ip link del lossprooftry 2>/dev/null; ip link del lossprooftry2 2>/dev/null";

/// Latency is tc's where it can have this, and incoming packets too.
const NETEM: &str = "tc qdisc add dev lossprooftry root netem limit 10 delay 10us 1us";

impl Need {
    const ALL: [Self; 6] = [Self::Htb, Self::Classifier, Self::Fifo, Self::Blackhole, Self::Ingress, Self::Delay];

    /// Kernel modules that have it, with the options that build them.
    #[must_use]
    pub const fn modules(self) -> &'static str {
        match self {
            Self::Htb => "sch_htb (CONFIG_NET_SCH_HTB)",
            Self::Classifier => "cls_bpf (CONFIG_NET_CLS_BPF)",
            Self::Fifo => "pfifo and bfifo (CONFIG_NET_SCH_FIFO)",
            Self::Blackhole => "sch_blackhole (CONFIG_NET_SCHED)",
            Self::Ingress => {
                "sch_ingress (CONFIG_NET_SCH_INGRESS), act_mirred (CONFIG_NET_ACT_MIRRED) and ifb (CONFIG_IFB)"
            }
            Self::Delay => {
                "sch_netem (CONFIG_NET_SCH_NETEM) and what incoming packets need, or else nfnetlink_queue \
                 (CONFIG_NETFILTER_NETLINK_QUEUE), nf_tables with nft_compat (CONFIG_NFT_COMPAT), and xt_NFQUEUE, xt_TEE, \
                 xt_mark and xt_multiport"
            }
        }
    }

    /// How to get it, in a sentence for people.
    #[must_use]
    pub fn how(self) -> String {
        let extra = match self {
            Self::Delay => {
                "; on Fedora and its like netem is in the package kernel-modules-extra. The queue also needs iptables and \
                 delay-packets in the sidecar image: `compose/setup.sh` builds it anew"
            }
            _ => "",
        };
        format!(
            "the kernel under the containers needs {}: load it there by modprobe, or take a kernel that has it{extra}",
            self.modules()
        )
    }

    /// Commands that succeed where it is there.
    fn trial(self) -> String {
        match self {
            Self::Htb => format!("tc qdisc add dev {TRIAL} root handle 1: htb default 0"),
            // A load from the packet and one of a random number.
            Self::Classifier => format!(
                "tc qdisc add dev {TRIAL} root handle 1: htb default 0 && tc filter add dev {TRIAL} parent 1: \
                 protocol ip prio 1 handle 1 bpf bytecode '3,48 0 0 23,32 0 0 4294963256,6 0 0 0'"
            ),
            Self::Fifo => format!(
                "tc qdisc add dev {TRIAL} root bfifo limit 1 && tc qdisc replace dev {TRIAL} root pfifo limit 10"
            ),
            Self::Blackhole => format!("tc qdisc add dev {TRIAL} root blackhole"),
            Self::Ingress => format!(
                "ip link add {TRIAL_IFB} type ifb && ip link set {TRIAL_IFB} up && tc qdisc add dev {TRIAL} handle ffff: \
                 ingress && tc filter add dev {TRIAL} parent ffff: protocol ip prio 1 handle 1 bpf bytecode '1,6 0 0 1' \
                 action mirred egress redirect dev {TRIAL_IFB}"
            ),
            Self::Delay => {
                format!("{{ {NETEM} && {}; }} || {{ {}; }}", Self::Ingress.trial(), delays::trial(TRIAL))
            }
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Htb => "traffic classes (htb)",
            Self::Classifier => "a packet classifier (cls_bpf)",
            Self::Fifo => "limited queues (bfifo, pfifo)",
            Self::Blackhole => "silent drops (blackhole)",
            Self::Ingress => "a hold on incoming packets (ingress, mirred, ifb)",
            Self::Delay => "delays (netem or nfqueue)",
        })
    }
}

impl Capabilities {
    /// Whether it was made to work.
    #[must_use]
    pub fn has(&self, need: Need) -> bool {
        self.all.iter().any(|found| found.need == need && found.there)
    }

    fn parse(printed: &str) -> Result<Self> {
        let mut all = Vec::new();
        for (number, need) in Need::ALL.into_iter().enumerate() {
            let mark = format!("need {number} ");
            let Some(answer) = printed.lines().find_map(|line| line.strip_prefix(&mark)) else {
                bail!("the trial of {need} gave no answer: {}", printed.trim());
            };
            let Some((code, said)) = answer.split_once(' ') else {
                bail!("the trial of {need} gave no answer: {answer}");
            };
            let there = code == "0";
            all.push(Capability { need, there, said: if there { String::new() } else { said.trim().to_owned() } });
        }
        Ok(Self { all })
    }
}

/// What an effect of that kind needs, on what comes in or not.
#[must_use]
pub fn needs(action: &Action, incoming: bool) -> Vec<Need> {
    let of_action: &[Need] = match action {
        Action::Cut => &[Need::Blackhole],
        Action::Bandwidth { .. } => &[Need::Fifo],
        Action::Loss { .. } => &[Need::Fifo, Need::Blackhole],
        // Which has its own way to what comes in.
        Action::Latency { .. } => return vec![Need::Htb, Need::Classifier, Need::Delay],
    };
    let ingress = incoming.then_some(Need::Ingress);
    [Need::Htb, Need::Classifier].into_iter().chain(of_action.iter().copied()).chain(ingress).collect()
}

/// Which of an effect's needs a kernel lacks.
#[must_use]
pub fn missing(effect: &Effect, capabilities: &Capabilities) -> Vec<Need> {
    let all = needs(&effect.action, needs_ingress(effect)).into_iter();
    all.filter(|&need| !capabilities.has(need)).collect()
}

/// Finds out what the kernel can do. `run` runs a line of shell (bash) in a network namespace, with
/// CAP_NET_ADMIN; a container of the sidecar image without any network will do.
///
/// # Errors
/// When not even the interfaces for the trial can be made, or the answers are no answers.
pub async fn probe<F: Future<Output = Result<String>>>(run: impl FnOnce(String) -> F) -> Result<Capabilities> {
    Capabilities::parse(&run(trials()).await?)
}

/// A line of shell that prints 0 where latency can be tc's.
pub(super) fn trial_of_netem() -> String {
    let trial = format!("{NETEM} && {}", Need::Ingress.trial());
    format!("{REMOVE}; {ADD} && {{ {trial}; }} &>/dev/null; echo $?; {REMOVE}; true")
}

/// One line: each trial on fresh interfaces, each answer on a line.
fn trials() -> String {
    let trials: Vec<String> = Need::ALL
        .iter()
        .enumerate()
        .map(|(number, need)| {
            // The answer in one line, its exit code first.
            format!(
                "{REMOVE}; {ADD} || exit; said=$({{ {}; }} 2>&1); \
                 echo \"need {number} $? \"$said",
                need.trial()
            )
        })
        .collect();
    // In a shell of its own, so that `exit` ends no more than that.
    format!("({}); code=$?; {REMOVE}; (exit $code)", trials.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Capabilities, Need, missing, trials};
    use crate::fault::net::{Action, Direction, Effect, End, Scope};

    const PRINTED: &str = "need 0 0 \nneed 1 0 \nneed 2 0 \nneed 3 0 \nneed 4 2 Error: Unknown device type.\n\
                           need 5 2 Error: Specified qdisc kind is unknown.\n";

    #[test]
    fn an_effect_lacks_what_the_kernel_does() {
        let found = Capabilities::parse(PRINTED).unwrap();
        assert_eq!(found.all[5].said, "Error: Specified qdisc kind is unknown.");
        let lacks = |action, direction| {
            let peers = vec!["10.0.0.1/32".parse().unwrap()];
            let scope = Scope { direction, peers, except: vec![], ports: vec![], end: End::Own };
            missing(&Effect { action, scopes: vec![scope] }, &found)
        };
        let latency = Action::Latency { delay: Duration::from_millis(1), jitter: Duration::ZERO };
        assert_eq!(lacks(Action::Cut, Direction::To), []);
        assert_eq!(lacks(Action::Cut, Direction::From), [Need::Ingress]);
        assert_eq!(lacks(Action::Loss { per_cent: 1.0 }, Direction::To), []);
        assert_eq!(lacks(latency, Direction::Both), [Need::Delay]);
        assert!(Need::Delay.how().contains("sch_netem"));
    }

    #[test]
    fn a_trial_without_an_answer_is_an_error() {
        for bad in ["", "need 0 0 \n", &PRINTED.replace("need 5 ", "need 5"), &PRINTED.replace("need 3 0 ", "need 3")] {
            assert!(Capabilities::parse(bad).is_err(), "{bad}");
        }
        assert!(!trials().contains('\n'), "one command is one line");
    }
}

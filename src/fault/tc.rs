//! One plan of traffic control for a broker, rendered whole and applied in one batch.
//!
//! htb with a class whose queue is a bfifo of one byte drops everything that a filter sends there,
//! on kernels without netem too. A qdisc acts on what leaves, so a cut needs a plan at both ends.

/// What one broker must not send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// Addresses of the peers.
    pub peers: Vec<String>,
    /// Ports, at either end of a connection: its own listener, or the peer's.
    pub ports: Vec<u16>,
}

impl Plan {
    /// As a line of shell (bash) that applies it.
    pub(super) fn apply(&self) -> String {
        let mut batch = vec![
            // Unclassified traffic passes unshaped: htb's `default 0`.
            "qdisc replace dev eth0 root handle 1: htb default 0".to_owned(),
            "class add dev eth0 parent 1: classid 1:66 htb rate 100gbit".to_owned(),
            "qdisc add dev eth0 parent 1:66 handle 66: bfifo limit 1".to_owned(),
        ];
        for peer in &self.peers {
            for port in &self.ports {
                for end in ["dport", "sport"] {
                    batch.push(format!(
                        "filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst {peer}/32 \
                         match ip protocol 6 0xff match ip {end} {port} 0xffff flowid 1:66"
                    ));
                }
            }
        }
        format!("tc -b - <<< $'{}'", batch.join("\\n"))
    }
}

/// Removes whatever plan there is; fine when there is none.
pub(super) const CLEAR: &str = "tc qdisc del dev eth0 root 2>/dev/null; tc qdisc show dev eth0";

/// Shows what the dropping queue has dropped.
pub(super) const STATISTICS: &str = "tc -s qdisc show dev eth0";

/// Packets that the dropping queue has dropped, from the output of [`STATISTICS`]; none when there is no such queue.
pub(super) fn dropped(statistics: &str) -> Option<u64> {
    let queue = statistics.split("qdisc ").find(|section| section.starts_with("bfifo 66:"))?;
    let rest = queue.split("dropped ").nth(1)?;
    rest.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Plan, dropped};

    #[test]
    fn a_plan_is_one_line_with_both_ends_of_each_port() {
        let plan = Plan { peers: vec!["172.30.1.12".to_owned()], ports: vec![9094] };
        insta::assert_snapshot!(plan.apply().replace("\\n", "\n"), @r"
        tc -b - <<< $'qdisc replace dev eth0 root handle 1: htb default 0
        class add dev eth0 parent 1: classid 1:66 htb rate 100gbit
        qdisc add dev eth0 parent 1:66 handle 66: bfifo limit 1
        filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 172.30.1.12/32 match ip protocol 6 0xff match ip dport 9094 0xffff flowid 1:66
        filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 172.30.1.12/32 match ip protocol 6 0xff match ip sport 9094 0xffff flowid 1:66'
        ");
        assert!(!plan.apply().contains('\n'));
    }

    #[test]
    fn drops_are_read_from_the_dropping_queue_only() {
        let statistics = "qdisc htb 1: root refcnt 2 r2q 10 default 0 direct_packets_stat 7\n \
             Sent 1240 bytes 12 pkt (dropped 5, overlimits 0 requeues 0) \n \
             backlog 0b 0p requeues 0\nqdisc bfifo 66: parent 1:66 limit 1b\n \
             Sent 0 bytes 0 pkt (dropped 42, overlimits 0 requeues 0) \n backlog 0b 0p requeues 0\n";
        assert_eq!(dropped(statistics), Some(42));
        assert_eq!(dropped("qdisc noqueue 0: root refcnt 2\n Sent 0 bytes 0 pkt (dropped 0, overlimits 0)\n"), None);
    }
}

//! A flow of small packets, one a millisecond to each of some addresses, and what arrived of it.
//!
//! Sender and receivers are lines of perl in the containers, whose base every Debian has. All of them
//! look at the same clock, the host's monotonic one.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use super::bed::Bed;

/// `now` in microseconds; perl's base has no module for it.
const CLOCK: &str = r#"use Socket; use Config; $| = 1; my $call = $Config{archname} =~ /aarch64|arm64/ ? 113 : 228;
sub now { my $t = "\0" x 16; syscall($call, 1, $t) == 0 or die; my ($s, $ns) = unpack("qq", $t); $s * 1000000 + int($ns / 1000) }"#;

/// Arguments: packets, bytes each, then address:port of each receiver. A socket each, with room enough and never
/// waiting, so that a queue which holds one flow up holds up no other.
const SENDER: &str = r#"my ($count, $size, @to) = @ARGV;
@to = map { my ($ip, $port) = split /:/; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
  setsockopt($s, SOL_SOCKET, 32, 8 << 20) or die; [$s, pack_sockaddr_in($port, inet_aton($ip))] } @to; my $start = now();
for my $n (0 .. $count - 1) { my $at = $start + $n * 1000;
  while ((my $wait = $at - now()) > 0) { select(undef, undef, undef, $wait / 1000000) }
  for my $to (@to) { my $text = "$n " . now() . " "; send($to->[0], $text . "x" x ($size - length $text), 0x40, $to->[1]) } }"#;

/// Arguments: how long in microseconds, then ports. Prints port, number, sent at, arrived at.
const RECEIVER: &str = r#"my ($time, @ports) = @ARGV; my ($bits, %sockets, @seen) = (""); for my $port (@ports) {
  socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; setsockopt($s, SOL_SOCKET, 33, 4 << 20) or die;
  bind($s, pack_sockaddr_in($port, INADDR_ANY)) or die; $sockets{fileno $s} = [$s, $port]; vec($bits, fileno $s, 1) = 1 }
print "ready\n"; my $end = now() + $time;
while ((my $left = $end - now()) > 0) { select(my $ready = $bits, undef, undef, $left / 1000000) > 0 or next;
  for (keys %sockets) { vec($ready, $_, 1) or next; my ($s, $port) = @{$sockets{$_}};
    recv($s, my $text, 2000, 0); push @seen, "$port " . join(" ", (split / /, $text)[0, 1]) . " " . now() } }
print "$_\n" for @seen;"#;

/// Time for packets on their way, in microseconds.
const DRAIN_US: u64 = 400_000;

/// A packet that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub number: u64,
    /// Microseconds of the monotonic clock.
    pub sent: u64,
    pub arrived: u64,
}

/// A flow that runs.
pub struct Flow {
    pub count: u64,
    sender: Child,
    receivers: BTreeMap<i32, Child>,
}

/// What arrived, by node and port.
pub struct Arrivals {
    pub count: u64,
    by_target: BTreeMap<(i32, u16), Vec<Arrival>>,
}

impl Flow {
    /// Starts to send `count` packets, of `size` bytes and one a millisecond, to each target.
    pub fn start(bed: &Bed, from: i32, targets: &[(i32, u16)], count: u64, size: u64) -> Self {
        let mut ports: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for (node, port) in targets {
            ports.entry(*node).or_default().push(port.to_string());
        }
        let time = (count * 1000 + DRAIN_US).to_string();
        let mut receivers = BTreeMap::new();
        for (node, ports) in ports {
            let mut receiver = perl(bed, node, RECEIVER, &[vec![time.clone()], ports].concat());
            // It listens once it has said so; what it says next is read in the end.
            let stdout = receiver.stdout.as_mut().unwrap();
            let mut ready = [0; 6];
            std::io::Read::read_exact(stdout, &mut ready).unwrap();
            assert_eq!(&ready, b"ready\n");
            receivers.insert(node, receiver);
        }
        let to = targets.iter().map(|(node, port)| format!("{}:{port}", bed.ip(*node))).collect();
        let sender = perl(bed, from, SENDER, &[vec![count.to_string(), size.to_string()], to].concat());
        Self { count, sender, receivers }
    }

    /// Waits for its end.
    pub fn end(mut self) -> Arrivals {
        assert!(self.sender.wait().unwrap().success(), "the sender failed");
        let mut by_target: BTreeMap<(i32, u16), Vec<Arrival>> = BTreeMap::new();
        for (node, receiver) in self.receivers {
            let output = receiver.wait_with_output().unwrap();
            assert!(output.status.success(), "a receiver failed");
            for line in String::from_utf8(output.stdout).unwrap().lines() {
                let fields: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
                let arrival = Arrival { number: fields[1], sent: fields[2], arrived: fields[3] };
                by_target.entry((node, u16::try_from(fields[0]).unwrap())).or_default().push(arrival);
            }
        }
        Arrivals { count: self.count, by_target }
    }
}

impl Arrivals {
    pub fn at(&self, node: i32, port: u16) -> &[Arrival] {
        self.by_target.get(&(node, port)).map_or(&[], Vec::as_slice)
    }

    /// Every packet of it arrived, once and in order.
    pub fn assert_whole(&self, node: i32, port: u16) {
        let numbers: Vec<u64> = self.at(node, port).iter().map(|arrival| arrival.number).collect();
        let gaps: Vec<u64> = (0..self.count).filter(|number| !numbers.contains(number)).collect();
        assert_eq!(gaps, [0; 0], "lost on the way to node {node}, port {port}");
        assert!(numbers.is_sorted() && numbers.len() as u64 == self.count, "node {node}, port {port}: {numbers:?}");
    }
}

/// Microseconds of the clock that the flows look at.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1000).unwrap()
}

fn perl(bed: &Bed, node: i32, program: &str, args: &[String]) -> Child {
    Command::new("docker")
        .args(["exec", &bed.container(node), "perl", "-e", &format!("{CLOCK}\n{program}")])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

//! A shell that waits in a holder's network namespace, so that a rule takes effect in a millisecond.
//!
//! It is also the dead man's switch: when lossproof dies, its input ends, and it removes all that network
//! faults added; when the connection hangs instead, it does the same after `SILENCE_LIMIT_S`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{Stream, StreamExt};
use testcontainers::bollard;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;

use super::engine::Engine;

/// Without a word from lossproof for so long, the shell takes it for dead.
const SILENCE_LIMIT_S: u64 = 20;
const PING_EVERY: Duration = Duration::from_secs(5);
/// No line takes longer: one that does never ends, and what waits for it must not.
const LINE_LIMIT: Duration = Duration::from_secs(140);
/// The program that holds packets back answers at once, but for the scheduling of a busy machine.
const HOLDER_LIMIT_S: u64 = 10;
/// Where the shell notes the queue length of the device.
const QUEUE_LENGTH: &str = "/run/lossproof-queue-length";
/// The interface of a holder that everybody else is behind.
pub const DEVICE: &str = "eth0";
/// The interface that a network fault leads incoming packets through.
pub const INGRESS_DEVICE: &str = "lossproof0";
/// A line of shell, for this shell alone, that removes all that network faults can have added. Fine when there is
/// nothing; it fails when something stays.
pub const CLEAR_NETWORK: &str = "clear_network";
/// A function of this shell alone: runs each line of its input as a command of tc, by a tc that is up already (to load
/// one takes longer than all else), up to the first that fails; then it fails with what tc said.
pub const BATCH: &str = "batch";
/// A function of this shell alone: another tc for [`BATCH`], as one remembers the numbers of devices that are gone.
pub const RENEW_BATCH: &str = "renew_batch";
/// Where rules of netfilter stand for packets that are to be held back: chains of the table `mangle`, for what leaves
/// and for what enters by the device.
pub const HOLD_OUT: &str = "lossproof-out";
/// See [`HOLD_OUT`].
pub const HOLD_IN: &str = "lossproof-in";
/// The queue of netfilter that they lead to.
pub const HOLD_QUEUE: u16 = 1;
/// A function of this shell alone: starts the program that holds back the packets of that queue.
pub const START_HOLDER: &str = "start_holder";
/// A function of this shell alone: gives each line of its input to that program, and prints what it answers.
pub const ASK_HOLDER: &str = "ask_holder";
/// A function of this shell alone: ends that program, which lets go what it holds. Fine when there is none.
pub const END_HOLDER: &str = "end_holder";
/// Prints how many such chains and rules stand.
pub const COUNT_HOLD_RULES: &str = "iptables -t mangle -S | grep -c lossproof- || true";
/// Where the shell notes that such rules may stand; without it nothing looks for them.
const HOLD_NOTE: &str = "/run/lossproof-holds";
/// Separates the output of commands; no tool prints it.
const MARK: char = '\u{1}';

/// A connection to such a shell.
#[derive(Debug, Clone)]
pub struct NetShell {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Command {
    line: String,
    answer: oneshot::Sender<Result<String>>,
}

type Output = std::pin::Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = std::pin::Pin<Box<dyn AsyncWrite + Send>>;

impl NetShell {
    /// Opens one in a running container that has bash, tc and ip, and for latencies iptables and delay-packets.
    ///
    /// # Errors
    /// When the container does not run.
    pub async fn open(engine: &Engine, container: &str) -> Result<Self> {
        // The first queue on a device whose queue length was 0 sets it to 1000, and the last one leaves it so.
        // What it was is noted where the next shell finds it, before the first rule.
        let program = format!(
            "[ -s {QUEUE_LENGTH} ] || cat /sys/class/net/{DEVICE}/tx_queue_len >{QUEUE_LENGTH} || exit
            {CLEAR_NETWORK}() {{
              local stays
              tc -force -b - <<< $'qdisc del dev {DEVICE} root\\nqdisc del dev {DEVICE} ingress' &>/dev/null
              [ ! -e /sys/class/net/{INGRESS_DEVICE} ] || {{ ip link del {INGRESS_DEVICE}; {RENEW_BATCH}; }}
              [ $(</sys/class/net/{DEVICE}/tx_queue_len) = $(<{QUEUE_LENGTH}) ] \\
                || ip link set {DEVICE} txqueuelen $(<{QUEUE_LENGTH})
              stays=$(tc qdisc show) || return
              case $stays in *htb*|*ingress*|*{INGRESS_DEVICE}*) echo \"stays: $stays\"; return 1 ;; esac
              [ ! -e {HOLD_NOTE} ] || clear_holds
            }}
            clear_holds() {{
              local rest
              {{
                while iptables -t mangle -D OUTPUT -o {DEVICE} -j {HOLD_OUT}; do :; done
                while iptables -t mangle -D INPUT -i {DEVICE} -j {HOLD_IN}; do :; done
                for rest in {HOLD_OUT} {HOLD_IN}; do iptables -t mangle -F $rest; iptables -t mangle -X $rest; done
              }} &>/dev/null
              {END_HOLDER}
              rest=$(iptables -t mangle -S) || {{ echo \"$rest\"; return 1; }}
              case $rest in *lossproof*) echo \"stays: $rest\"; return 1 ;; esac
              rm {HOLD_NOTE}
            }}
            {START_HOLDER}() {{
              local said
              : >{HOLD_NOTE} || return
              {{ coproc HOLDER {{ exec delay-packets {HOLD_QUEUE} 2>&1; }}; }} 2>/dev/null
              IFS= read -r -t {HOLDER_LIMIT_S} -u ${{HOLDER[0]}} said && [ \"$said\" = ready ] \
                || {{ echo \"delay-packets: $said\"; {END_HOLDER}; return 1; }}
            }}
            {ASK_HOLDER}() {{
              local command answer
              while IFS= read -r command; do
                printf '%s\n' \"$command\" 2>/dev/null >&${{HOLDER[1]}} \
                  && IFS= read -r -t {HOLDER_LIMIT_S} -u ${{HOLDER[0]}} answer \
                  || {{ echo 'the program that holds packets back is gone'; return 1; }}
                [ -z \"$answer\" ] || echo \"$answer\"
              done
            }}
            {END_HOLDER}() {{
              [ -z \"$HOLDER_PID\" ] || {{ eval \"exec ${{HOLDER[1]}}>&-\"; wait $HOLDER_PID; }} 2>/dev/null
              true
            }}
            {RENEW_BATCH}() {{
              [ -z \"$TC_PID\" ] || {{ eval \"exec ${{TC[1]}}>&-\"; wait $TC_PID; }}
              coproc TC {{ exec tc -force -batch - 2>&1; }}
            }}
            {BATCH}() {{
              local command said answer
              while IFS= read -r command; do
                said=
                # The last thing that it says to each is of the loopback, whose queue nobody touches.
                printf '%s\\nqdisc show dev lo\\n' \"$command\" >&${{TC[1]}} || return
                while IFS= read -r -u ${{TC[0]}} answer || {{ echo 'tc is gone'; return 1; }}; do
                  case $answer in 'qdisc noqueue 0: '*) break ;; esac
                  said+=\"$answer \"
                done
                case $said in *'Command failed'*) echo \"$said\"; return 1 ;; esac
              done
            }}
            {RENEW_BATCH} 2>/dev/null
            # Who writes to a program that is gone is told, instead of ended.
            trap : PIPE
            trap {CLEAR_NETWORK} EXIT
            while IFS= read -r -t {SILENCE_LIMIT_S} line; do
              eval \"$line\" 2>&1 </dev/null
              printf '{MARK}%s{MARK}\\n' $?
            done"
        );
        let exec = engine
            .api()
            .create_exec(
                container,
                ExecConfig {
                    attach_stdin: Some(true),
                    attach_stdout: Some(true),
                    cmd: Some(vec!["bash".to_owned(), "-c".to_owned(), program]),
                    ..ExecConfig::default()
                },
            )
            .await
            .with_context(|| format!("no shell in {container}"))?;
        let StartExecResults::Attached { output, input } =
            engine.api().start_exec(&exec.id, None::<StartExecOptions>).await?
        else {
            bail!("the engine did not attach to the shell in {container}");
        };
        let (commands, queue) = mpsc::channel(8);
        tokio::spawn(serve(queue, input, output));
        Ok(Self { commands })
    }

    /// Runs one line of shell, and gives what it printed.
    ///
    /// # Errors
    /// Its output, when it ends with another code than 0; or that the shell is gone.
    pub async fn run(&self, line: &str) -> Result<String> {
        debug_assert!(!line.contains('\n'), "one command is one line");
        let (answer, answered) = oneshot::channel();
        let command = Command { line: line.to_owned(), answer };
        self.commands.send(command).await.ok().context("the shell in the network namespace is gone")?;
        answered.await.context("the shell in the network namespace is gone")?
    }
}

async fn serve(mut queue: mpsc::Receiver<Command>, mut input: Input, mut output: Output) {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            command = queue.recv() => {
                let Some(Command { line, answer }) = command else { return };
                let answered = tokio::time::timeout(LINE_LIMIT, exchange(&line, &mut input, &mut output)).await;
                let result = answered.unwrap_or_else(|_| Err(Gone.into()));
                let broken = result.as_ref().is_err_and(|error| error.is::<Gone>());
                answer.send(result).ok();
                if broken { return }
            }
            _ = ping.tick() => {
                if exchange(":", &mut input, &mut output).await.is_err() { return }
            }
        }
    }
}

/// The connection to the shell broke.
#[derive(Debug, thiserror::Error)]
#[error("the shell in the network namespace is gone")]
struct Gone;

async fn exchange(line: &str, input: &mut Input, output: &mut Output) -> Result<String> {
    input.write_all(format!("{line}\n").as_bytes()).await.map_err(|_| Gone)?;
    input.flush().await.map_err(|_| Gone)?;
    let mut text = String::new();
    while let Some(chunk) = output.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk.map_err(|_| Gone)?.into_bytes()));
        if let Some((printed, code)) = answered(&text) {
            return match code {
                "0" => Ok(printed.to_owned()),
                code => bail!("`{}` ended with {code}: {}", beginning(line), printed.trim()),
            };
        }
    }
    Err(Gone.into())
}

/// As much of a line as tells what it was; a program for the kernel is thousands of characters.
fn beginning(line: &str) -> String {
    const ENOUGH: usize = 100;
    let mut beginning: String = line.chars().take(ENOUGH).collect();
    if beginning.len() < line.len() {
        beginning.push('…');
    }
    beginning
}

/// What a command printed and its exit code, once the whole answer is there.
fn answered(text: &str) -> Option<(&str, &str)> {
    let (printed, rest) = text.split_once(MARK)?;
    let (code, _) = rest.split_once(MARK)?;
    Some((printed, code))
}

#[cfg(test)]
mod tests {
    use super::answered;

    #[test]
    fn an_answer_is_complete_only_with_both_marks() {
        assert_eq!(answered("dropped 3\n"), None);
        assert_eq!(answered("dropped 3\n\u{1}"), None);
        assert_eq!(answered("dropped 3\n\u{1}0\u{1}\n"), Some(("dropped 3\n", "0")));
        assert_eq!(answered("\u{1}127\u{1}\n"), Some(("", "127")));
    }
}

//! The behaviours under `producer:`.

use super::amount::{format_size, size};
use super::check::Check;
use super::profile::Setting;
use super::source::Span;
use super::value::{Wrong, integer, word};
use super::{Close, Delivery, Large, OnError, OnFatal, OnQueueFull, Options, Problem, ProducerSpec, Sending, Word};

/// Their names.
pub const BEHAVIOURS: &[&str] = &[
    "on_queue_full",
    "on_fatal",
    "transaction_messages",
    "keys",
    "delivery",
    "close",
    "large_every",
    "large",
    "on_error",
    "attempts",
    "dual_write",
];

/// Bytes of a payload: the identity and its checksum must fit.
pub const PAYLOAD_LEAST: u64 = 64;
/// Bytes of a payload.
pub const PAYLOAD_MOST: u64 = 16 << 20;

/// Sends of a message in all where `on_error: retry` stands without `attempts`.
const ATTEMPTS: u16 = 5;

impl Word for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("drop", Self::Drop),
        ("retry", Self::Retry { attempts: ATTEMPTS }),
        ("dlq", Self::Dlq),
        ("spool", Self::Spool),
        ("outbox", Self::Outbox),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Retry { .. } => "retry",
            Self::Dlq => "dlq",
            Self::Spool => "spool",
            Self::Outbox => "outbox",
        }
    }
}

/// Behaviours by name, each with its place.
struct Settings(Vec<Setting>);

impl Settings {
    fn at(&self, key: &str) -> Option<&Span> {
        self.0.iter().find(|setting| setting.key == key).map(|setting| &setting.value.1)
    }

    /// The value of a behaviour; the outer option is none if it is wrong, the inner one if it is not given.
    fn read<T>(&self, check: &mut Check, key: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<Option<T>> {
        match self.0.iter().find(|setting| setting.key == key) {
            Some(Setting { value: (text, at), .. }) => check.read_at(text, at, parse).map(Some),
            None => Some(None),
        }
    }
}

/// Of what stands under `producer:`, parted into behaviours and librdkafka's options.
pub fn spec(check: &mut Check, behaviours: Vec<Setting>, options: Options) -> Option<ProducerSpec> {
    let own = Settings(behaviours);
    let on_queue_full = own.read(check, "on_queue_full", |text| word(text, "behaviour for a full queue"));
    let on_fatal = own.read(check, "on_fatal", |text| word(text, "behaviour after a fatal error"));
    let transaction_messages = own
        .read(check, "transaction_messages", |text| integer(text, "number of messages in a transaction", 1, 100_000));
    let keys = own.read(check, "keys", |text| integer(text, "number of keys", 1, 1_000_000_000));
    let sending = sending(check, &own);
    let spec = ProducerSpec {
        options,
        on_queue_full: on_queue_full?.unwrap_or(OnQueueFull::Drop),
        on_fatal: on_fatal?.unwrap_or(OnFatal::Stop),
        transaction_messages: transaction_messages?,
        keys: keys?,
        sending: sending?,
    };
    agree(check, &own, &spec).then_some(spec)
}

fn sending(check: &mut Check, own: &Settings) -> Option<Sending> {
    let delivery = own.read(check, "delivery", |text| word(text, "way to look at delivery reports"));
    let close = own.read(check, "close", |text| word(text, "way to close a producer"));
    let every = own.read(check, "large_every", |text| integer(text, "number of messages", 1, 1_000_000_000));
    let bytes = own.read(check, "large", payload);
    let on_error: Option<Option<OnError>> = own.read(check, "on_error", |text| word(text, "behaviour for an error"));
    let attempts = own.read(check, "attempts", |text| integer(text, "number of attempts", 2, 1000));
    let dual_write = own.read(check, "dual_write", |text| word(text, "answer"));
    let delivery = delivery?.unwrap_or_default();
    Some(Sending {
        delivery,
        close: close?.unwrap_or_else(|| default_close(delivery)),
        large: match (every?, bytes?) {
            (Some(every), Some(payload_bytes)) => Some(Large { every, payload_bytes }),
            _ => None,
        },
        on_error: match (on_error?.unwrap_or_default(), attempts?) {
            (OnError::Retry { .. }, Some(attempts)) => OnError::Retry { attempts },
            (other, _) => other,
        },
        dual_write: dual_write?.unwrap_or(false),
    })
}

/// Who looks at no report does not wait for the last ones either.
pub const fn default_close(delivery: Delivery) -> Close {
    match delivery {
        Delivery::FireAndForget => Close::Abandon,
        Delivery::Callback | Delivery::Await => Close::Flush,
    }
}

/// The size of a large message's payload.
fn payload(text: &str) -> Result<usize, Wrong> {
    let bytes = size(text)?;
    let fits = (PAYLOAD_LEAST..=PAYLOAD_MOST).contains(&bytes);
    usize::try_from(bytes).ok().filter(|_| fits).ok_or_else(|| {
        Wrong::new(
            format!("{} is not possible for a payload", format_size(bytes)),
            format!("expected {} to {}", format_size(PAYLOAD_LEAST), format_size(PAYLOAD_MOST)),
        )
    })
}

/// Whether the behaviours can be had together; what can't is reported where the later of the two words stands.
fn agree(check: &mut Check, own: &Settings, spec: &ProducerSpec) -> bool {
    let Sending { delivery, close, on_error, dual_write, .. } = spec.sending;
    let reacts = on_error != OnError::Drop;
    let outbox = on_error == OnError::Outbox;
    let transactional = spec.transaction_messages.is_some();
    let (has_every, has_size) = (own.at("large_every").is_some(), own.at("large").is_some());
    let retries = matches!(on_error, OnError::Retry { .. });
    let against = [
        (
            reacts && delivery == Delivery::FireAndForget,
            ("on_error", "delivery"),
            "who looks at no delivery report learns of no error",
        ),
        (reacts && close == Close::Abandon, ("on_error", "close"), "messages that are abandoned can't be cared for"),
        (
            reacts && transactional,
            ("on_error", "transaction_messages"),
            "a transaction is committed or aborted as a whole",
        ),
        (
            transactional && delivery != Delivery::Callback,
            ("delivery", "transaction_messages"),
            "a transactional producer awaits its commits, and nothing else",
        ),
        (
            outbox && delivery == Delivery::Await,
            ("delivery", "on_error"),
            "an outbox's relay sends, not the application",
        ),
        (outbox && dual_write, ("dual_write", "on_error"), "an outbox is there to replace the dual write"),
    ];
    let mut sound = true;
    for (wrong, (here, there), why) in against {
        if wrong && let (Some(at), Some(other)) = (own.at(here), own.at(there)) {
            let place = other.place();
            check.report(Problem::new(why).at(at, format!("`{here}` is set here")).hint(format!(
                "`{there}` is set at {}:{}:{}: change one of them",
                place.file, place.line, place.column
            )));
            sound = false;
        }
    }
    let missing = [
        (has_every && !has_size, "large_every", "large", "200KiB"),
        (has_size && !has_every, "large", "large_every", "100"),
        (own.at("attempts").is_some() && !retries, "attempts", "on_error", "retry"),
    ];
    for (wrong, here, there, example) in missing {
        if wrong && let Some(at) = own.at(here) {
            let problem = Problem::new(format!("`{here}` means nothing without `{there}`"))
                .at(at, "has nothing to act on")
                .hint(format!("for example `{there}: {example}`"));
            check.report(problem);
            sound = false;
        }
    }
    sound
}

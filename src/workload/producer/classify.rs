//! What a delivery report, or a refusal, says of a message: the table A of the truth model.

use lossproof_ledger::category::Told;
use rdkafka::types::RDKafkaErrorCode;

use super::book::Mode;
use crate::workload::librdkafka::Persistence;

/// Of a delivery report; `status` is asked for only where it matters. In a transaction this counts once
/// that is committed.
pub(super) fn report(mode: Mode, error: Option<RDKafkaErrorCode>, status: impl Fn() -> Persistence) -> Told {
    match error {
        // With acks=0 a report only says that the bytes were handed to a socket.
        None if mode == Mode::Unacknowledged => Told::Unconfirmed,
        None => Told::Acked,
        // Not persisted, librdkafka thinks; that alone is no proof, since an appended batch whose leader
        // steps down is answered NOT_LEADER. These errors come before anything is appended.
        Some(error) if is_refusal(error) && status() == Persistence::Not => Told::Failed,
        Some(_) => Told::Indeterminate,
    }
}

/// Of a synchronous refusal by `produce()`: the client never took the message.
pub(super) fn refusal(error: RDKafkaErrorCode) -> Told {
    if error == RDKafkaErrorCode::MessageSizeTooLarge { Told::Failed } else { Told::Unsent }
}

/// Errors of a broker, or of the client before sending, that exclude an append.
fn is_refusal(error: RDKafkaErrorCode) -> bool {
    matches!(
        error,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::DelegationTokenAuthorizationFailed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Persistence::{Not, Persisted, Possibly};
    use RDKafkaErrorCode::*;
    use test_case::test_case;

    #[test_case(false, Persisted, None => Told::Acked)]
    #[test_case(false, Possibly, None => Told::Acked; "a success without librdkafka's certainty")]
    #[test_case(true, Possibly, None => Told::Unconfirmed)]
    #[test_case(true, Persisted, None => Told::Unconfirmed; "acks 0 is never a proof")]
    #[test_case(false, Not, Some(MessageSizeTooLarge) => Told::Failed)]
    #[test_case(true, Not, Some(MessageSizeTooLarge) => Told::Failed; "too large under acks 0")]
    #[test_case(false, Not, Some(InvalidRecord) => Told::Failed)]
    #[test_case(false, Not, Some(InvalidTimestamp) => Told::Failed)]
    #[test_case(false, Not, Some(TopicAuthorizationFailed) => Told::Failed)]
    #[test_case(false, Not, Some(ClusterAuthorizationFailed) => Told::Failed)]
    #[test_case(false, Not, Some(TransactionalIdAuthorizationFailed) => Told::Failed)]
    #[test_case(false, Possibly, Some(MessageSizeTooLarge) => Told::Indeterminate; "an earlier try may have landed")]
    #[test_case(false, Persisted, Some(InvalidRecord) => Told::Indeterminate)]
    #[test_case(false, Not, Some(NotLeaderForPartition) => Told::Indeterminate; "not persisted is no proof")]
    #[test_case(false, Not, Some(MessageTimedOut) => Told::Indeterminate)]
    #[test_case(false, Possibly, Some(MessageTimedOut) => Told::Indeterminate; "timed out in flight")]
    #[test_case(false, Not, Some(PurgeQueue) => Told::Indeterminate)]
    #[test_case(false, Possibly, Some(PurgeInflight) => Told::Indeterminate)]
    #[test_case(false, Not, Some(NotEnoughReplicas) => Told::Indeterminate)]
    #[test_case(false, Possibly, Some(NotEnoughReplicasAfterAppend) => Told::Indeterminate)]
    #[test_case(false, Possibly, Some(OutOfOrderSequenceNumber) => Told::Indeterminate)]
    #[test_case(false, Not, Some(BrokerTransportFailure) => Told::Indeterminate)]
    #[test_case(false, Not, Some(KafkaStorageError) => Told::Indeterminate)]
    fn reports(unacknowledged: bool, status: Persistence, error: Option<RDKafkaErrorCode>) -> Told {
        let mode = if unacknowledged { Mode::Unacknowledged } else { Mode::Acknowledged };
        report(mode, error, || status)
    }

    #[test_case(MessageSizeTooLarge => Told::Failed)]
    #[test_case(QueueFull => Told::Unsent)]
    #[test_case(Fatal => Told::Unsent)]
    #[test_case(UnknownPartition => Told::Unsent)]
    fn refusals(error: RDKafkaErrorCode) -> Told {
        refusal(error)
    }
}

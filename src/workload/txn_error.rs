//! What errors of librdkafka's transactional calls ask for.

use rdkafka::error::KafkaError;

/// Only an abort leads on.
pub(super) fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

/// The call goes on in the background, or can be made again.
pub(super) fn is_resumable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort(),
        // Reports are left: they are served before the next call.
        KafkaError::Flush(_) => true,
        _ => false,
    }
}

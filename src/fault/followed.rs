//! How far the harness itself has read the logs that it follows, for faults that take records away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Positions by topic and partition, told by the tail readers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Followed(Arc<Mutex<BTreeMap<(String, i32), i64>>>);

impl Followed {
    /// Everything below `position` was read.
    pub fn advance(&self, topic: &str, partition: i32, position: i64) {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        positions.insert((topic.to_owned(), partition), position);
    }

    /// Waits until everything below `position` was read; false if that does not come within `limit`.
    pub(super) async fn comes_to(&self, topic: &str, partition: i32, position: i64, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let read = || {
            let positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            positions.get(&(topic.to_owned(), partition)).is_some_and(|read| *read >= position)
        };
        while !read() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Followed;

    #[tokio::test]
    async fn what_was_not_read_in_time_is_told() {
        let followed = Followed::default();
        let limit = Duration::from_millis(50);
        assert!(!followed.comes_to("t", 0, 1, limit).await, "nobody reads it");
        followed.clone().advance("t", 0, 9);
        assert!(followed.comes_to("t", 0, 9, limit).await);
        assert!(!followed.comes_to("t", 0, 10, limit).await);
        assert!(!followed.comes_to("t", 1, 1, limit).await);
        assert!(!followed.comes_to("other", 0, 1, limit).await);
    }
}

//! The wish to stop: by a signal, once, seen by all who wait.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A wish to stop that may come at any time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: Arc<watch::Sender<Option<&'static str>>>,
}

impl Stop {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let asked = Arc::new(watch::Sender::new(None));
        for (kind, name) in [
            (SignalKind::interrupt(), "SIGINT"),
            (SignalKind::terminate(), "SIGTERM"),
            (SignalKind::hangup(), "SIGHUP"),
        ] {
            let mut stream = signal(kind)?;
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    // The first counts; later ones find the healing under way and do not cut it short.
                    asked.send_if_modified(|reason| reason.is_none() && reason.replace(name).is_none());
                }
            });
        }
        Ok(Self { asked })
    }

    /// Returns once somebody has asked, with the signal's name.
    pub async fn asked(&self) -> &'static str {
        let mut changes = self.asked.subscribe();
        // The sender lives in `self`, so this can't fail while we wait.
        match changes.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or("a signal"),
            Err(_) => std::future::pending().await,
        }
    }

    /// The signal's name, if somebody has asked.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        *self.asked.borrow()
    }
}

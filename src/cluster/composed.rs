//! The compose project of a cluster, and what becomes of it when it is dropped.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use testcontainers::compose::DockerCompose;

/// A compose project.
///
/// A `DockerCompose` that is dropped runs `docker compose down` and blocks until that has ended: for up to five
/// minutes, if a broker is told to end while it starts. So until the cluster is ready it is let go instead, and who
/// gives it up sweeps.
#[derive(Debug)]
pub(super) enum Composed {
    /// It may be half made.
    Starting(ManuallyDrop<DockerCompose>),
    /// Its cluster is ready.
    Ready(DockerCompose),
}

impl Composed {
    pub(super) const fn new(project: DockerCompose) -> Self {
        Self::Starting(ManuallyDrop::new(project))
    }

    /// The cluster is ready.
    pub(super) fn into_ready(self) -> Self {
        Self::Ready(self.into_inner())
    }

    pub(super) fn into_inner(self) -> DockerCompose {
        match self {
            Self::Starting(project) => ManuallyDrop::into_inner(project),
            Self::Ready(project) => project,
        }
    }
}

impl Deref for Composed {
    type Target = DockerCompose;

    fn deref(&self) -> &DockerCompose {
        match self {
            Self::Starting(project) => project,
            Self::Ready(project) => project,
        }
    }
}

impl DerefMut for Composed {
    fn deref_mut(&mut self) -> &mut DockerCompose {
        match self {
            Self::Starting(project) => project,
            Self::Ready(project) => project,
        }
    }
}

//! What is done about a session that is dead, or was kept: its faults are taken back where they outlive its containers,
//! and then everything of it is removed.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cluster::engine::Engine;
use crate::cluster::session::forget;
use crate::cluster::sweep::{Remains, remains, sweep};
use crate::fault::exec;
use crate::fault::journal::{self, Entry, Found, Written};

/// What was done about a session.
#[derive(Debug)]
pub struct Cleaned {
    /// What of it was there.
    pub there: Remains,
    /// What of it could not be removed.
    pub left: Remains,
    /// What became of its faults that were not healed.
    pub faults: Vec<Settled>,
}

/// What became of a fault that was not healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// A sentence or two.
    pub text: String,
    /// Whether nothing of it is left to do.
    pub done: bool,
}

/// Removes everything of a session, which the caller has locked.
///
/// # Errors
/// When the engine does not answer, or the session's folder can't be read.
pub async fn clean(engine: &Engine, session: &str) -> Result<Cleaned> {
    let there = remains(engine, session).await?;
    let exe = std::env::current_exe().context("where this program's own file is")?;
    // First, as a command may want to reach the containers.
    let mut faults = Vec::new();
    for (written, found) in journal::read(session)? {
        faults.push(settle(&exe, &written, found).await?);
    }
    let left = sweep(engine, session).await?;
    if left.is_empty() {
        forget_inside(session)?;
        forget(session);
    }
    Ok(Cleaned { there, left, faults })
}

/// Removes from the journal what goes with the session's containers. Gives what does not, and is left to do.
///
/// # Errors
/// When the session's folder can't be read or changed.
pub fn forget_inside(session: &str) -> Result<Vec<Settled>> {
    let mut left = Vec::new();
    for (written, found) in journal::read(session)? {
        match found {
            Found::Open { entry, .. } if entry.undo.outside().is_none() => written.remove()?,
            Found::Open { entry, .. } => {
                let text = format!("{}; {}", told(&entry), what_helps(&written));
                left.push(Settled { text, done: false });
            }
            Found::NeverApplied => written.remove()?,
            Found::Unreadable(_) => {}
        }
    }
    Ok(left)
}

async fn settle(exe: &Path, written: &Written, found: Found) -> Result<Settled> {
    let file = written.path.display();
    let done = |text: String| Ok(Settled { text, done: true });
    let open = |text: String| Ok(Settled { text, done: false });
    let (entry, own) = match found {
        Found::Open { entry, own } => (entry, own),
        Found::NeverApplied => {
            written.remove()?;
            return done(format!("{file} was being written when its run died: its fault was never applied"));
        }
        Found::Unreadable(error) => {
            let told = format!("{file} should say how a fault is undone, and can't be read: {error:#}");
            return open(format!("{told}; see what it says, and remove it when that is done"));
        }
    };
    let what = told(&entry);
    let Some(way) = entry.undo.outside() else {
        return done(format!("{what}; that goes with its containers"));
    };
    if !own {
        let told = format!("{what}; {file} is not yours alone, so the command was not run");
        return open(format!("{told}; whose it is may run `lossproof clean`, or you the command, and remove the file"));
    }
    match exec::heal(exe, way, None).await {
        Ok(proof) if proof.holds => {
            written.remove()?;
            done(format!("{what}; now it is: {}", proof.summary))
        }
        Ok(proof) => open(format!("{what}, and is not now: {}; {}", proof.summary, what_helps(written))),
        Err(error) => open(format!("{what}, and is not now: {error:#}; {}", what_helps(written))),
    }
}

fn told(entry: &Entry) -> String {
    let Entry { run_dir, fault, kind, undo } = entry;
    format!("fault {} ({kind}) of {run_dir} was not healed: {}", fault + 1, undo.describe())
}

fn what_helps(written: &Written) -> String {
    format!("`lossproof clean` tries it again; or undo it by hand, and remove {}", written.path.display())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Settled, settle};
    use crate::fault::Undo;
    use crate::fault::exec::{Setting, Way};
    use crate::fault::journal::{Entry, Found, Written};

    fn entry(undo: Undo) -> Entry {
        Entry { run_dir: "/runs/one".to_owned(), fault: 1, kind: "some".to_owned(), undo }
    }

    async fn settled(found: Found) -> (Settled, bool) {
        let folder = tempfile::tempdir().unwrap();
        let written = Written { path: folder.path().join("0.json") };
        std::fs::write(&written.path, "").unwrap();
        let settled = settle(Path::new("/nonexistent"), &written, found).await.unwrap();
        (settled, written.path.exists())
    }

    #[tokio::test]
    async fn what_is_inside_the_containers_goes_with_them() {
        let found = Found::Open { entry: entry(Undo::Thaw(vec![2])), own: true };
        let (settled, _) = settled(found).await;
        let text = "fault 2 (some) of /runs/one was not healed: thaw broker 2; that goes with its containers";
        assert_eq!(settled, Settled { text: text.to_owned(), done: true });
    }

    #[tokio::test]
    async fn a_command_that_others_may_have_written_is_not_run() {
        let setting = Setting {
            directory: "/".to_owned(),
            environment: std::collections::BTreeMap::new(),
            log: "/nonexistent/log".to_owned(),
            limit_ms: 1000,
        };
        let way = Way { undo: "rm -rf /".to_owned(), proof: "false".to_owned(), setting };
        for (own, why) in [(false, "the command was not run"), (true, "can't start /nonexistent")] {
            let undo = Undo::Exec { fault: 1, way: way.clone() };
            let (settled, stays) = settled(Found::Open { entry: entry(undo), own }).await;
            assert!(!settled.done && stays && settled.text.contains(why), "{settled:?}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_read_is_told_and_stays() {
        let (settled, stays) = settled(Found::Unreadable(anyhow::anyhow!("garbage"))).await;
        assert!(!settled.done && stays && settled.text.contains("can't be read: garbage"), "{settled:?}");
        let (settled, stays) = self::settled(Found::NeverApplied).await;
        assert!(settled.done && !stays && settled.text.contains("never applied"), "{settled:?}");
    }
}

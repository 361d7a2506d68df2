//! What `lossproof clean` does about faults of a dead run that outlive its containers, without any cluster: the
//! session's files are all that is left of it.

use std::fs;
use std::path::PathBuf;

use lossproof::cluster::session::undo_folder;
use lossproof::fault::Undo;
use lossproof::fault::exec::{Setting, Way};
use lossproof::fault::journal::{self, Entry};

use super::engine::{Engine, SESSIONS, entries};
use super::program::{Done, lossproof};

/// A session that left nothing but its undo journal.
struct Dead {
    id: String,
    folder: tempfile::TempDir,
}

impl Dead {
    fn new(name: &str) -> Self {
        let id = format!("test-{name}-{}", std::process::id());
        fs::create_dir_all(SESSIONS).unwrap();
        fs::write(format!("{SESSIONS}/{id}.lock"), "1").unwrap();
        Self { id, folder: tempfile::tempdir().unwrap() }
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("mark")
    }

    /// Leaves an entry whose undo is this command.
    fn leaves(&self, undo: &str) {
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let environment = [("MARK".to_owned(), self.mark().to_str().unwrap().to_owned())].into();
        // The run's folder is gone.
        let setting = Setting { log: format!("{folder}/gone/1.log"), directory: folder, environment, limit_ms: 1000 };
        let way = Way { undo: undo.to_owned(), proof: "test -e $MARK".to_owned(), setting };
        self.leaves_undo(Undo::Exec { fault: 0, way });
    }

    fn leaves_undo(&self, undo: Undo) {
        let entry = Entry { run_dir: "/runs/gone".to_owned(), fault: 0, kind: "some".to_owned(), undo };
        journal::write(&self.id, &entry).unwrap();
    }

    fn clean(&self) -> Done {
        lossproof(&["clean", "--run", &self.id])
    }

    fn files(&self) -> Vec<String> {
        entries(SESSIONS).into_iter().filter(|name| name.contains(&self.id)).collect()
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        fs::remove_dir_all(format!("{SESSIONS}/{}.d", self.id)).ok();
        fs::remove_file(format!("{SESSIONS}/{}.lock", self.id)).ok();
    }
}

#[test]
fn clean_undoes_what_outlives_the_containers() {
    let _engine = Engine::exclusive();
    let dead = Dead::new("undo");
    fs::write(dead.mark(), "").unwrap();
    dead.leaves("test -e $MARK.may && rm -f $MARK");
    dead.leaves_undo(Undo::Thaw(vec![2]));

    let first = dead.clean();
    assert_eq!(first.code, Some(5), "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.contains("was not healed: thaw broker 2; that goes with its containers"), "{}", first.stdout);
    assert!(first.stderr.contains("is not now: `undo` ended with exit code 1"), "{}", first.stderr);
    assert_eq!(entries(undo_folder(&dead.id).unwrap()), ["0.json"], "kept, to be tried again");

    fs::write(dead.folder.path().join("mark.may"), "").unwrap();
    let second = dead.clean();
    assert_eq!(second.code, Some(0), "{}{}", second.stdout, second.stderr);
    assert!(second.stdout.contains("now it is: `undo` was done, and `proof` fails again"), "{}", second.stdout);
    assert!(!dead.mark().exists());
    assert_eq!(dead.files(), [""; 0]);
}

#[test]
fn clean_tells_of_an_undo_that_it_can_not_read() {
    let _engine = Engine::exclusive();
    let dead = Dead::new("garbage");
    let folder = undo_folder(&dead.id).unwrap();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("0.json"), "{\"run_dir\":\"\u{1b}[31m").unwrap();
    fs::write(folder.join("half.part"), "{").unwrap();
    let done = dead.clean();
    assert_eq!(done.code, Some(5), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("0.json should say how a fault is undone, and can't be read"), "{}", done.stderr);
    assert!(done.stdout.contains("half.part was being written when its run died"), "{}", done.stdout);
    assert_eq!(entries(&folder), ["0.json"]);
}

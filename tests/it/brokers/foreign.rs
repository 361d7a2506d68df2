//! What belongs to others on the same engine, and must stay as it is.

use super::engine::Engine;

/// Labels that are not lossproof's: an unrelated one, one whose key begins like it, one whose value is it.
const LABELS: [&str; 3] = ["owner=somebody", "lossproof-other=x", "purpose=lossproof"];

/// A running container, a network and a volume for each of `LABELS`; removed when this is dropped.
pub struct Foreign<'a> {
    engine: &'a Engine,
    things: Vec<Thing>,
}

struct Thing {
    kind: &'static str,
    name: String,
    before: String,
}

impl<'a> Foreign<'a> {
    pub fn make(engine: &'a Engine) -> Self {
        let mut foreign = Self { engine, things: Vec::new() };
        for (number, label) in (0..).zip(LABELS) {
            // Named as lossproof names its own, too: names decide nothing.
            let name = format!("lossproof-foreign-{}-{number}", std::process::id());
            foreign.add(
                "container",
                &name,
                &[
                    "run",
                    "--detach",
                    "--init",
                    "--network",
                    "none",
                    "--label",
                    label,
                    "--name",
                    &name,
                    "lossproof/sidecar:1",
                    "sleep",
                    "infinity",
                ],
            );
            // Docker's own choice may be the range that lossproof takes its subnets from.
            let subnet = format!("10.213.{number}.0/24");
            foreign.add("network", &name, &["network", "create", "--label", label, "--subnet", &subnet, &name]);
            foreign.add("volume", &name, &["volume", "create", "--label", label, &name]);
        }
        foreign
    }

    fn add(&mut self, kind: &'static str, name: &str, command: &[&str]) {
        // First, so that it is removed even if making it fails half-way.
        self.things.push(Thing { kind, name: name.to_owned(), before: String::new() });
        self.engine.docker(command);
        let before = self.state(kind, name).unwrap();
        self.things.last_mut().unwrap().before = before;
    }

    /// Whose it is, and since when it is there and (a container) runs.
    fn state(&self, kind: &str, name: &str) -> Result<String, String> {
        let format = match kind {
            "container" => "{{ .Id }} {{ .State.Running }} {{ .State.StartedAt }} {{ .RestartCount }}",
            "network" => "{{ .Id }} {{ .Created }}",
            _ => "{{ .Name }} {{ .CreatedAt }} {{ .Mountpoint }}",
        };
        self.engine.try_docker(&[kind, "inspect", "--format", format, name])
    }

    pub fn assert_untouched(&self) {
        for Thing { kind, name, before } in &self.things {
            assert_eq!(self.state(kind, name).as_ref(), Ok(before), "{kind} {name}");
        }
    }
}

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        for Thing { kind, name, .. } in &self.things {
            let force: &[&str] = if *kind == "network" { &[] } else { &["--force"] };
            let command = [&[*kind, "rm"], force, &[name]].concat();
            if let Err(error) = self.engine.try_docker(&command) {
                eprintln!("left by the test itself: {error}");
            }
        }
    }
}

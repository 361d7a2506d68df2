//! A page for each kind of fault: what it does, how to write it, how it is proven and what it needs.

/// The page of a kind of fault; none for a name that is no kind.
#[must_use]
pub fn page(kind: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| *name == kind).map(|(_, page)| *page)
}

/// All kinds with a page, and what each does in a few words.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.iter().map(|(name, page)| (*name, title(page)))
}

const PAGES: &[(&str, &str)] = &[
    ("kill", include_str!("kill.md")),
    ("restart", include_str!("restart.md")),
    ("pause", include_str!("pause.md")),
    ("crash_loop", include_str!("crash_loop.md")),
    ("upgrade", include_str!("upgrade.md")),
    ("partition", include_str!("partition.md")),
    ("flap", include_str!("flap.md")),
    ("latency", include_str!("latency.md")),
    ("loss", include_str!("loss.md")),
    ("bandwidth", include_str!("bandwidth.md")),
    ("disk_fill", include_str!("disk_fill.md")),
    ("disk_slow", include_str!("disk_slow.md")),
    ("disk_wipe", include_str!("disk_wipe.md")),
    ("power_loss", include_str!("power_loss.md")),
    ("elect_leader", include_str!("elect_leader.md")),
    ("move_leader", include_str!("move_leader.md")),
    ("topic_config", include_str!("topic_config.md")),
    ("broker_config", include_str!("broker_config.md")),
    ("delete_records", include_str!("delete_records.md")),
    ("acl", include_str!("acl.md")),
    ("client_kill", include_str!("client_kill.md")),
    ("client_pause", include_str!("client_pause.md")),
    ("client_stop", include_str!("client_stop.md")),
    ("exec", include_str!("exec.md")),
];

/// What stands in the first line behind the name.
fn title(page: &'static str) -> &'static str {
    let first = page.lines().next().unwrap_or_default();
    first.split_once(": ").map_or(first, |(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::{PAGES, kinds, page};
    use crate::experiment::{self, FaultKind};

    #[test]
    fn each_kind_has_a_page_and_each_page_a_kind() {
        let pages: Vec<&str> = kinds().map(|(name, _)| name).collect();
        assert_eq!(pages, FaultKind::names().collect::<Vec<_>>());
        assert_eq!(page("kil"), None);
    }

    #[test]
    fn each_page_tells_what_how_and_what_for() {
        for (name, page) in PAGES {
            assert!(page.starts_with(&format!("# {name}: ")), "{name}");
            let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(headings, ["## How to write it", "## How it is proven", "## What it needs"], "{name}");
            assert!(page.lines().all(|line| line.chars().count() <= 110), "{name}: a line is too long");
        }
    }

    #[test]
    fn what_the_pages_show_can_be_written_so() {
        for (name, page) in PAGES {
            let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("example.yaml");
            let head = "name: example\nworkload: { rate: 1/s, payload: 1KiB }\nprofiles: { resilient: {} }\n\
                cluster: { broker_config: { authorizer.class.name: Some } }\nfaults:\n";
            std::fs::write(&file, format!("{head}{example}")).unwrap();
            let loaded = experiment::load(&[file]).unwrap_or_else(|problems| panic!("{name}: {problems}"));
            assert_eq!(loaded[0].faults.len(), 1, "{name}");
            assert_eq!(loaded[0].faults[0].kind.name(), *name);
        }
    }
}

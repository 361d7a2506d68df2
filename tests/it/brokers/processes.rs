//! Processes of this host, by a part of their command line.

use super::engine::entries;

/// Process ids and command lines that contain `text`. A dead process that nobody has waited for has none.
pub fn with(text: &str) -> Vec<(u32, String)> {
    entries("/proc")
        .into_iter()
        .filter_map(|name| name.parse().ok())
        .filter_map(|pid: u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()))
        })
        .filter(|(_, words)| words.contains(text))
        .collect()
}

//! Why input is refused: what is wrong, where, what was expected, and what to do about it.

use std::fmt;

/// Input that can't be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    message: String,
    place: Option<Place>,
    /// The text around the place, and the column in it, from 0, that is meant.
    excerpt: Option<(String, usize)>,
    /// What may stand there.
    expected: Option<String>,
    /// What to do.
    hint: Option<String>,
}

/// A place in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The file as the user named it; `-` for standard input.
    file: String,
    /// From 1.
    line: u64,
    /// In characters, from 1.
    column: u64,
}

/// Characters shown before and after a place.
const AROUND: usize = 60;

impl Refusal {
    /// A refusal of no particular place.
    pub fn new(message: impl Into<String>) -> Self {
        let message = visible(&message.into());
        Self(Box::new(Details { message, place: None, excerpt: None, expected: None, hint: None }))
    }

    /// A refusal of a line, `byte` bytes into it.
    pub(super) fn at(file: &str, line: u64, text: &[u8], byte: usize, message: impl Into<String>) -> Self {
        let before = String::from_utf8_lossy(&text[..byte.min(text.len())]);
        let after = String::from_utf8_lossy(&text[byte.min(text.len())..]);
        let column = before.chars().count();
        let skipped = column.saturating_sub(AROUND);
        let mut excerpt: String = before.chars().skip(skipped).map(harmless).collect();
        let caret = column - skipped;
        excerpt.extend(after.chars().take(AROUND).map(harmless));
        let mut refusal = Self::new(message);
        refusal.0.place = Some(Place { file: visible(file), line, column: column as u64 + 1 });
        refusal.0.excerpt = Some((excerpt, caret));
        refusal
    }

    /// A refusal of a whole line whose text is not shown.
    pub(super) fn at_line(file: &str, line: u64, message: impl Into<String>) -> Self {
        let mut refusal = Self::new(message);
        refusal.0.place = Some(Place { file: visible(file), line, column: 1 });
        refusal
    }

    /// What may stand there.
    #[must_use]
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(visible(&expected.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(visible(&hint.into()));
        self
    }

    /// What to do about it, where something is known.
    #[must_use]
    pub(super) fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { message, place, excerpt, expected, hint } = &*self.0;
        if let Some(Place { file, line, column }) = place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(message)?;
        if let Some((excerpt, caret)) = excerpt {
            write!(f, "\n    {excerpt}\n    {:caret$}^", "")?;
            if let Some(expected) = expected {
                write!(f, " {expected}")?;
            }
        } else if let Some(expected) = expected {
            write!(f, ": {expected}")?;
        }
        match hint {
            Some(hint) => write!(f, "\n  help: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// A character for the terminal: what would steer it, or is not there to be seen, is replaced.
fn harmless(c: char) -> char {
    if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) {
        '\u{fffd}'
    } else {
        c
    }
}

/// Text for the terminal, of a bearable length.
fn visible(text: &str) -> String {
    const MAX: usize = 400;
    let mut visible: String = text.chars().take(MAX).map(harmless).collect();
    if visible.len() < text.len() && text.chars().nth(MAX).is_some() {
        visible.push('…');
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_character_that_is_meant() {
        let refusal = Refusal::at("f.jsonl", 3, "{\"ü\": -1}".as_bytes(), 7, "`ü` is -1").expected("expected a number");
        assert_eq!(refusal.to_string(), "f.jsonl:3:7: `ü` is -1\n    {\"ü\": -1}\n          ^ expected a number");
    }

    #[test]
    fn of_a_long_line_only_the_surroundings_are_shown() {
        let line = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = Refusal::at("f", 1, line.as_bytes(), 5_000, "wrong").to_string();
        assert!(shown.contains(":1:5001: "), "{shown}");
        assert!(shown.len() < 400, "{shown}");
    }

    #[test]
    fn nothing_in_a_file_steers_the_terminal() {
        let refusal = Refusal::at("f\u{1b}[2J", 1, b"\x1b[31m\0\xff{", 4, "bad \u{7} byte");
        let shown = refusal.to_string();
        assert!(shown.chars().all(|c| !c.is_control() || c == '\n'), "{shown:?}");
    }
}

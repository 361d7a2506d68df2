//! Why input is refused: what is wrong, where, what was expected, and what to do about it.

use std::fmt;

/// A place in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it; `-` for standard input.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// Input that can't be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// Where, if it is somewhere.
    pub place: Option<Place>,
    /// The text around the place, and the column in it, from 0, that is meant.
    pub excerpt: Option<(String, usize)>,
    /// What was expected there.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Characters shown before and after a place.
const AROUND: usize = 60;

impl Refusal {
    /// A refusal of no particular place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: visible(&message.into()), place: None, excerpt: None, expected: None, hint: None }
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
        let place = Place { file: visible(file), line, column: column as u64 + 1 };
        Self { place: Some(place), excerpt: Some((excerpt, caret)), ..Self::new(message) }
    }

    /// A refusal of a whole line whose text is not shown.
    pub(super) fn at_line(file: &str, line: u64, message: impl Into<String>) -> Self {
        Self { place: Some(Place { file: visible(file), line, column: 1 }), ..Self::new(message) }
    }

    /// What may stand there.
    #[must_use]
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(visible(&expected.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(visible(&hint.into()));
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
        if let Some(Place { file, line, column }) = &self.place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some((excerpt, caret)) = &self.excerpt {
            write!(f, "\n    {excerpt}\n    {:caret$}^", "")?;
            if let Some(expected) = &self.expected {
                write!(f, " {expected}")?;
            }
        } else if let Some(expected) = &self.expected {
            write!(f, ": {expected}")?;
        }
        match &self.hint {
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

//! Java's `.properties`, which librdkafka's tools read much the same: `key=value`, `key: value` or `key value`, comments
//! with `#` or `!`, a backslash at the end of a line goes on with the next, and `\uXXXX` and the like are characters.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;
use std::sync::Arc;

use crate::experiment::source::{Source, Span};

/// One property. `Debug` leaves its value out, which may be a password.
#[derive(Clone)]
pub struct Property {
    /// Its name.
    pub key: String,
    /// Where that stands.
    pub key_at: Span,
    /// Its value, without space around it.
    pub value: String,
    /// Where that stands; of no length if there is none.
    pub value_at: Span,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Property").field("key", &self.key).field("at", &self.key_at).finish_non_exhaustive()
    }
}

/// All properties of a source, in its order; of one that comes twice, the last, as Java takes it.
pub fn parse(source: &Arc<Source>) -> Vec<Property> {
    let mut all: Vec<Property> = Vec::new();
    let mut reader = Reader { source, rest: source.text.char_indices().peekable() };
    while let Some(property) = reader.property() {
        all.retain(|other| other.key != property.key);
        all.push(property);
    }
    all
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    /// The next property; none at the end.
    fn property(&mut self) -> Option<Property> {
        loop {
            self.skip(|c| c.is_whitespace() || c == '\u{feff}');
            match self.rest.peek()?.1 {
                '#' | '!' => self.skip(|c| c != '\n'),
                _ => break,
            }
        }
        let (key, key_at) = self.text(|c| matches!(c, '=' | ':') || is_blank(c));
        self.skip(is_blank);
        if self.rest.next_if(|(_, c)| matches!(c, '=' | ':')).is_some() {
            self.skip(is_blank);
        }
        let (value, value_at) = self.text(|_| false);
        Some(Property { key, key_at, value: value.trim_end_matches(is_blank).to_owned(), value_at })
    }

    /// Text up to the end of the line, or to what `ends` it.
    fn text(&mut self, ends: impl Fn(char) -> bool) -> (String, Span) {
        let begin = self.position();
        let mut text = String::new();
        while let Some((_, c)) = self.rest.next_if(|&(_, c)| c != '\n' && !ends(c)) {
            match c {
                '\\' => self.escape(&mut text),
                // Part of a line's end in files from Windows.
                '\r' => {}
                c => text.push(c),
            }
        }
        let len = self.source.text[begin..self.position()].trim_end().len();
        (text, self.source.span(begin, len))
    }

    /// What follows a backslash.
    fn escape(&mut self, text: &mut String) {
        match self.rest.next().map(|(_, c)| c) {
            Some('\r') => {
                self.rest.next_if(|(_, c)| *c == '\n');
                self.skip(is_blank);
            }
            Some('\n') => self.skip(is_blank),
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String =
                    (0..4).map_while(|_| self.rest.next_if(|(_, c)| c.is_ascii_hexdigit())).map(|(_, c)| c).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                text.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(c) => text.push(c),
            None => {}
        }
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        while self.rest.next_if(|&(_, c)| skipped(c)).is_some() {}
    }

    fn position(&mut self) -> usize {
        self.rest.peek().map_or(self.source.text.len(), |(at, _)| *at)
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let source = Source::from_bytes("own.properties".to_owned(), None, text.as_bytes().to_vec()).unwrap();
        parse(&source).into_iter().map(|property| (property.key, property.value)).collect()
    }

    #[test]
    fn all_ways_to_write_a_property() {
        // What java.util.Properties of a JDK 21 reads from the same text.
        let text = "# a comment\n  ! another\r\n\nacks=all\n retries : 3\nlinger.ms 5\nempty=\nalone\n\
                    list = a,\\\n    b,\\\r\n\tc\nwith\\ space=x\\ty \\u00e9\npath=c:\\\\kafka  \nacks=1";
        let expected = [
            ("retries", "3"),
            ("linger.ms", "5"),
            ("empty", ""),
            ("alone", ""),
            ("list", "a,b,c"),
            ("with space", "x\ty é"),
            ("path", "c:\\kafka"),
            ("acks", "1"),
        ];
        assert_eq!(read(text), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn properties_keep_their_places() {
        let text = "\u{feff}# first\nacks = all \nretries=3\\\n  0\n";
        let source = Source::from_bytes("own.properties".to_owned(), None, text.as_bytes().to_vec()).unwrap();
        let places: Vec<_> = parse(&source)
            .into_iter()
            .map(|property| {
                let (key, value) = (property.key_at.place(), property.value_at.place());
                ((key.line, key.column), (value.line, value.column), property.value_at.len)
            })
            .collect();
        assert_eq!(places, [((2, 1), (2, 8), 3), ((3, 1), (3, 9), 6)]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z=: \\\\\\n\\r\\tu0-9#!\u{e9}]{0,60}") {
            read(&text);
        }
    }
}

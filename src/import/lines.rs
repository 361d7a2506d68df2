//! An input line by line, in bounded memory.

use std::io::{ErrorKind, Read};

use super::input::Input;
use super::refusal::Refusal;

/// Longer is no line of a log of messages: most likely something else than text.
const MAX_LINE_BYTES: usize = 8 << 20;
const STEP_BYTES: usize = 256 << 10;
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// The lines of an input.
pub(super) struct Lines {
    input: Input,
    buffer: Vec<u8>,
    /// What of the buffer has not been given out.
    begin: usize,
    end: usize,
    /// Bytes from `begin` that hold no end of line.
    searched: usize,
    number: u64,
    /// Bytes read, uncompressed.
    bytes: u64,
    at_end: bool,
    /// Where the next line stands, if it was looked at already: nothing is read in between.
    peeked: Option<(usize, usize, bool)>,
}

/// A line without its end.
pub(super) struct Line<'a> {
    pub bytes: &'a [u8],
    /// From 1.
    pub number: u64,
    /// It has an end. Only the last line of a file may lack one.
    pub ended: bool,
}

impl Lines {
    pub(super) fn new(input: Input) -> Self {
        let buffer = vec![0; STEP_BYTES];
        Self { input, buffer, begin: 0, end: 0, searched: 0, number: 0, bytes: 0, at_end: false, peeked: None }
    }

    /// The input's name.
    pub(super) fn name(&self) -> &str {
        &self.input.name
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Refusal> {
        let found = match self.peeked.take() {
            Some(found) => Some(found),
            None => self.find_text()?,
        };
        Ok(found.map(|found| self.at(found)))
    }

    /// The line that comes next, which stays to be read.
    pub(super) fn peek(&mut self) -> Result<Option<Line<'_>>, Refusal> {
        if self.peeked.is_none() {
            self.peeked = self.find_text()?;
        }
        Ok(self.peeked.map(|found| self.at(found)))
    }

    fn at(&self, (begin, end, ended): (usize, usize, bool)) -> Line<'_> {
        Line { bytes: &self.buffer[begin..end], number: self.number, ended }
    }

    fn find_text(&mut self) -> Result<Option<(usize, usize, bool)>, Refusal> {
        while let Some((begin, end, ended)) = self.find()? {
            if self.buffer[begin..end].iter().any(|byte| !byte.is_ascii_whitespace()) {
                return Ok(Some((begin, end, ended)));
            }
        }
        Ok(None)
    }

    /// Where the next line stands in the buffer.
    fn find(&mut self) -> Result<Option<(usize, usize, bool)>, Refusal> {
        loop {
            let unseen = self.begin + self.searched;
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[unseen..self.end]) {
                let (begin, end) = (self.begin, unseen + length);
                self.begin = end + 1;
                return Ok(Some(self.line(begin, end, true)));
            }
            self.searched = self.end - self.begin;
            if self.at_end {
                if self.searched == 0 {
                    return Ok(None);
                }
                let (begin, end) = (self.begin, self.end);
                self.begin = end;
                return Ok(Some(self.line(begin, end, false)));
            }
            self.fill()?;
        }
    }

    fn line(&mut self, mut begin: usize, end: usize, ended: bool) -> (usize, usize, bool) {
        self.searched = 0;
        if self.number == 0 && self.buffer[begin..end].starts_with(BYTE_ORDER_MARK) {
            begin += BYTE_ORDER_MARK.len();
        }
        self.number += 1;
        (begin, end, ended)
    }

    fn fill(&mut self) -> Result<(), Refusal> {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        if self.end == self.buffer.len() {
            if self.end >= MAX_LINE_BYTES {
                return Err(Refusal::at_line(
                    self.name(),
                    self.number + 1,
                    format!("this line is longer than {} MiB", MAX_LINE_BYTES >> 20),
                )
                .expected("expected one JSON object a line")
                .hint("is this the right file?"));
            }
            self.buffer.resize(self.end * 2, 0);
        }
        let read = loop {
            match self.input.reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) => self.at_end = true,
            Ok(read) => {
                self.end += read;
                self.bytes += read as u64;
            }
            Err(error) => return Err(self.unreadable(&error)),
        }
        Ok(())
    }

    fn unreadable(&self, error: &std::io::Error) -> Refusal {
        let line = self.number + 1;
        let Some(compressed) = self.input.compressed else {
            return Refusal::at_line(self.name(), line, format!("can't be read from here on: {error}"));
        };
        let cut = error.kind() == ErrorKind::UnexpectedEof || error.to_string().contains("incomplete frame");
        let (what, hint) = if cut {
            ("ends before its end", "it was not closed, or not copied whole: what it lacks can't be known")
        } else {
            ("is damaged", "take an undamaged copy: what it lacks can't be known")
        };
        Refusal::at_line(
            self.name(),
            line,
            format!("the {compressed} data {what}, {} bytes of text into it: {error}", self.bytes),
        )
        .hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use test_case::test_case;

    use super::*;

    fn lines(text: &[u8]) -> Vec<(String, u64, bool)> {
        let input = Input { name: "f".to_owned(), reader: Box::new(Cursor::new(text.to_vec())), compressed: None };
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((String::from_utf8_lossy(line.bytes).into_owned(), line.number, line.ended));
        }
        found
    }

    #[test_case(b"", &[]; "nothing")]
    #[test_case(b"\n\r\n  \n", &[]; "blank lines")]
    #[test_case(b"a\nb\n", &[("a", 1, true), ("b", 2, true)]; "whole lines")]
    #[test_case(b"a\n\nb", &[("a", 1, true), ("b", 3, false)]; "a last line without its end")]
    #[test_case(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &[("a", 1, true), ("\u{feff}b", 2, true)]; "a byte order mark")]
    fn lines_are_found(text: &[u8], expected: &[(&str, u64, bool)]) {
        let found = lines(text);
        let found: Vec<_> = found.iter().map(|(text, number, ended)| (text.as_str(), *number, *ended)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_may_be_longer_than_the_buffer() {
        let long = "x".repeat(3 * STEP_BYTES + 5);
        let found = lines(format!("a\n{long}\nb\n").as_bytes());
        assert_eq!(found[1], (long, 2, true));
        assert_eq!(found[2], ("b".to_owned(), 3, true));
    }

    #[test]
    fn an_endless_line_is_refused_in_bounded_memory() {
        let endless = std::io::repeat(b'x').take(1 << 30);
        let input = Input { name: "f".to_owned(), reader: Box::new(endless), compressed: None };
        let mut lines = Lines::new(input);
        let refusal = lines.next().err().unwrap();
        assert!(refusal.to_string().starts_with("f:1:1: this line is longer than 8 MiB"), "{refusal}");
        assert!(lines.buffer.len() <= MAX_LINE_BYTES);
    }
}

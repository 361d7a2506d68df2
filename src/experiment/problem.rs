//! What is wrong with an experiment: a message, the place, what was expected there, and a hint, all as data.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::Place;
use super::source::{Source, Span};
use super::yours::secrets;

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    message: String,
    place: Option<Place>,
    source: Option<Box<NamedSource<String>>>,
    labels: Vec<LabeledSpan>,
    hint: Option<String>,
}

impl Problem {
    /// A problem of no particular place.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: visible(&message.into()), place: None, source: None, labels: Vec::new(), hint: None }
    }

    /// A problem found later, at a place that an experiment remembers; `expected` is written under the place.
    #[must_use]
    pub fn at_place(message: impl Into<String>, place: &Place, expected: impl Into<String>) -> Self {
        let problem = Self::new(message);
        match Source::of(place) {
            Some(source) => {
                let mut span = source.at_line(place.line, place.column);
                let word = |c: char| c.is_alphanumeric() || "._-".contains(c);
                let length = span.rest_of_line().find(|c| !word(c)).unwrap_or(span.rest_of_line().len());
                span.len = length.max(span.len);
                problem.at(&span, expected)
            }
            None => Self { place: Some(place.clone()), ..problem },
        }
    }

    /// Points to the text; further calls may add places in the same source.
    #[must_use]
    pub(super) fn at(mut self, span: &Span, label: impl Into<String>) -> Self {
        let label = visible(&label.into());
        self.place.get_or_insert_with(|| span.place());
        if !showable(span) {
            self.message.push_str(&format!(": {label}"));
            return self;
        }
        self.source.get_or_insert_with(|| {
            // The lines around are shown as well.
            let text = secrets::covered(&span.source.text).chars().map(harmless).collect::<String>();
            Box::new(NamedSource::new(visible(&span.source.name), text))
        });
        // A label of no length could not be seen.
        self.labels.push(LabeledSpan::new(Some(label), span.offset, span.len.max(1)));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(visible(&hint.into()));
        self
    }

    /// What to do about it, where something is known.
    #[must_use]
    pub fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

/// Whether the lines around a place are short enough to be shown.
fn showable(span: &Span) -> bool {
    const MAX_LINE: usize = 400;
    let (before, after) = span.source.text.split_at(span.offset);
    let around = before.rsplit('\n').take(2).chain(after.split('\n').take(2));
    around.map(str::len).sum::<usize>() <= MAX_LINE
}

/// A character for the terminal: what would steer it is replaced, in the same number of bytes.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        // Part of a line's end in files from Windows.
        '\r' => ' ',
        _ if c.is_ascii_control() => '?',
        '\u{80}'..='\u{9f}' => '\u{a4}',
        _ => c,
    }
}

/// Text for the terminal: of a bearable length, and with what would steer the terminal escaped.
fn visible(text: &str) -> String {
    const MAX: usize = 600;
    let mut visible = String::new();
    for c in text.chars() {
        if visible.len() > MAX {
            visible.push('…');
            break;
        }
        if c.is_control() { visible.extend(c.escape_default()) } else { visible.push(c) }
    }
    visible
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // Without its source, miette has nowhere to show the place.
        match (&self.source, &self.place) {
            (None, Some(Place { file, line, column })) => write!(f, " ({file}:{line}:{column})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source.as_ref() as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// All that is wrong, in the order found; never empty.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Problems of a merge of several layers; what stands in a shared one is found once for each profile.
    #[must_use]
    pub(super) fn distinct(problems: Vec<Problem>) -> Self {
        let mut distinct: Vec<Problem> = Vec::new();
        for problem in problems {
            if !distinct.iter().any(|other| other.message == problem.message && other.place == problem.place) {
                distinct.push(problem);
            }
        }
        Self(distinct)
    }

    /// For a person: each with its snippet and hint. `colour` is for terminals; `width` in columns.
    #[must_use]
    pub fn render(&self, colour: bool, width: usize) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false).without_syntax_highlighting();
        let mut text = String::new();
        for problem in &self.0 {
            if !text.is_empty() {
                text.push('\n');
            }
            // Writing to a String does not fail, and a source that miette can't cut still leaves the message.
            if handler.render_report(&mut text, problem).is_err() {
                text.push_str(&format!("{problem}\n"));
            }
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match (&problem.source, &problem.place) {
                (Some(_), Some(Place { file, line, column })) => write!(f, "{file}:{line}:{column}: {problem}")?,
                _ => write!(f, "{problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

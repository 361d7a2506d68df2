//! The text of an experiment or profile file, read with care: a path from the command line may be anything.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_yaml::Location;

use super::problem::Problem;
use super::{Place, embedded};

/// No experiment comes near this; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

/// A file's text under the name that messages use for it. `Debug` leaves the text out, which may hold a password.
pub struct Source {
    /// As the user named it, or `builtin:NAME`.
    pub name: String,
    /// On disk, for what is looked up beside it; none if embedded.
    pub path: Option<PathBuf>,
    /// The whole text.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("path", &self.path).finish_non_exhaustive()
    }
}

/// A stretch of a source.
#[derive(Clone)]
pub struct Span {
    /// Where it stands.
    pub source: Arc<Source>,
    /// First byte.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = self.place();
        write!(f, "{file}:{line}:{column}")
    }
}

impl Span {
    /// Its beginning as line and column.
    pub fn place(&self) -> Place {
        let before = self.source.text.get(..self.offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.source.name.clone(),
            line: before.matches('\n').count() as u64 + 1,
            column: before[line_start..].chars().count() as u64 + 1,
        }
    }

    /// The source from here to the end of the line.
    pub fn rest_of_line(&self) -> &str {
        self.source.text.get(self.offset..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, is no regular file, is too large, or is not UTF-8 text.
    pub fn read(path: &Path) -> Result<Arc<Self>, Problem> {
        let name = path.display().to_string();
        let unreadable = |error: std::io::Error| Problem::new(format!("{name} can't be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Problem::new(format!("{name} is a folder, and a file is needed here")));
        }
        if !metadata.is_file() {
            return Err(Problem::new(format!("{name} is not a regular file"))
                .hint("save the experiment to a file and give its path"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(name, Some(path.to_owned()), bytes)
    }

    /// An embedded file.
    pub fn embedded(path: &str) -> Option<Arc<Self>> {
        let text = embedded::text(path)?.to_owned();
        let name = format!("builtin:{}", path.trim_end_matches(".yaml"));
        Some(Arc::new(Self { name, path: None, text }))
    }

    /// The source behind a place that was given out earlier, if it still can be read.
    pub fn of(place: &Place) -> Option<Arc<Self>> {
        match place.file.strip_prefix("builtin:") {
            Some(name) => Self::embedded(&format!("{name}.yaml")),
            None => Self::read(Path::new(&place.file)).ok(),
        }
    }

    /// As `read`, for what was read already.
    pub(super) fn from_bytes(name: String, path: Option<PathBuf>, bytes: Vec<u8>) -> Result<Arc<Self>, Problem> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Problem::new(format!("{name} is larger than 1 MiB, which no experiment is"))
                .hint("is this the right file?"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let bytes = error.as_bytes();
            let valid = &bytes[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let problem = Problem::new(format!("{name}: line {line} is not UTF-8 text"));
            match bytes {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => problem.hint("it looks like UTF-16: save it as UTF-8"),
                _ => problem.hint("save the file as UTF-8"),
            }
        })?;
        let source = Arc::new(Self { name, path, text });
        match source.text.find('\0') {
            Some(offset) => Err(Problem::new("a NUL byte in the text")
                .at(&source.span(offset, 1), "here")
                .hint("is this a text file?")),
            None => Ok(source),
        }
    }

    /// The stretch from `offset`, cut to what there is and to whole characters.
    pub fn span(self: &Arc<Self>, offset: usize, len: usize) -> Span {
        let text = &self.text;
        let mut begin = offset.min(text.len());
        while !text.is_char_boundary(begin) {
            begin -= 1;
        }
        let mut end = begin.saturating_add(len).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        Span { source: Arc::clone(self), offset: begin, len: end - begin }
    }

    /// The stretch behind one of the YAML parser's locations.
    pub fn at(self: &Arc<Self>, location: &Location) -> Span {
        let span = location.span();
        match (span.byte_offset(), span.byte_len()) {
            (Some(offset), Some(len)) => self.span(offset as usize, len as usize),
            _ => self.at_line(location.line(), location.column()),
        }
    }

    /// The character at a line and column, both from 1; columns count characters.
    pub fn at_line(self: &Arc<Self>, line: u64, column: u64) -> Span {
        let line_start = match line.checked_sub(2) {
            None => 0,
            Some(skip) => self
                .text
                .match_indices('\n')
                .nth(usize::try_from(skip).unwrap_or(usize::MAX))
                .map_or(self.text.len(), |(newline, _)| newline + 1),
        };
        let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let in_line = self.text[line_start..].char_indices().nth(column).map_or(0, |(at, _)| at);
        self.span(line_start + in_line, 1)
    }
}

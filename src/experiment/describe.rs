//! Promises in words, for plans and reports.

use std::fmt;
use std::time::Duration;

use super::metric::{self, Unit};
use super::{Comparison, Expectation};

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every metric was looked up when the expectation was read.
        let Some(metric) = metric::find(&self.metric) else {
            return f.write_str(&self.metric);
        };
        let than = match self.comparison {
            Comparison::Equal => "exactly",
            Comparison::AtLeast => "at least",
            Comparison::MoreThan => "more than",
            Comparison::AtMost => "at most",
            Comparison::LessThan => "less than",
        };
        match metric.unit {
            Unit::Time => {
                let bound = humantime::format_duration(Duration::from_millis(self.bound));
                write!(f, "{than} {bound} as {}", metric.meaning)
            }
            Unit::Count if self.bound == 0 && matches!(self.comparison, Comparison::Equal | Comparison::AtMost) => {
                write!(f, "no {}", metric.meaning)
            }
            Unit::Count => write!(f, "{than} {} {}", self.bound, metric.meaning),
        }
    }
}

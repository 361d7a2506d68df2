//! "Did you mean": the known word that is nearest to a mistyped one.

/// Words further apart than this have nothing to do with each other.
const ALIKE: f64 = 0.75;

/// The one of `known` that was probably meant by `typed`.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normal(typed);
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&typed, &normal(word)), word))
        .filter(|&(likeness, _)| likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// The hint in words, if there is a word to hint at.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(typed, known).map(|word| format!("did you mean `{word}`?"))
}

/// `a`, `b` or `c`, for "expected …".
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Case and the choice between `_`, `-` and `.` are the commonest slips.
fn normal(word: &str) -> String {
    word.to_lowercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("kil", Some("kill"))]
    #[test_case("disk-fill", Some("disk_fill"))]
    #[test_case("Partition", Some("partition"))]
    #[test_case("restrat", Some("restart"))]
    #[test_case("xyzzy", None)]
    #[test_case("", None)]
    fn nearest_fault_kind(typed: &str, meant: Option<&str>) {
        assert_eq!(nearest(typed, ["kill", "restart", "partition", "disk_fill"]), meant);
    }

    #[test]
    fn words_are_listed_as_in_speech() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}

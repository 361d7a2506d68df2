//! What must never be shown: passwords and keys in files of options.

/// Parts of the names of options that hold a secret.
const SECRET: &[&str] = &[
    // Misspelt ones too.
    "pass",
    "pasw",
    "pwd",
    "secret",
    "jaas",
    "token",
    "credential",
    "user.info",
    "key.pem",
    "certificate.pem",
    "keystore.key",
    "keystore.certificate",
    "private",
];

/// Whether the value of an option of this name is a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// The same text with the values of secret options covered, byte for byte, so that every place stays where it is. A
/// value goes on in the next line after a backslash.
pub fn covered(text: &str) -> String {
    let mut covered = String::with_capacity(text.len());
    let mut goes_on = false;
    for line in text.split_inclusive('\n') {
        let begin = if goes_on { Some(0) } else { secret_value(line) };
        let (open, secret) = line.split_at(begin.unwrap_or(line.len()));
        covered.push_str(open);
        let hidden = |c: char| !matches!(c, '\n' | '\r' | '\\');
        covered.extend(secret.chars().flat_map(|c| {
            let (shown, times) = if hidden(c) { ('*', c.len_utf8()) } else { (c, 1) };
            std::iter::repeat_n(shown, times)
        }));
        goes_on = begin.is_some() && ends_in_backslash(line);
    }
    covered
}

/// Where the value begins, if the line has a secret option. Names are read as files of properties and YAML have them.
fn secret_value(line: &str) -> Option<usize> {
    let name_at = line.len() - line.trim_start_matches([' ', '\t', '-', '{', '"', '\'', '#', '!', '\u{feff}']).len();
    let ends = line[name_at..].find(['=', ':', ' ', '\t'])?;
    let name = &line[name_at..name_at + ends];
    // Several options may stand in one line of YAML.
    let others =
        || line[name_at + ends..].split([',', '{', ' ']).any(|word| word.contains([':', '=']) && is_secret(word));
    (is_secret(name) || others()).then_some(name_at + ends + 1)
}

fn ends_in_backslash(line: &str) -> bool {
    let line = line.trim_end_matches(['\n', '\r']);
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("acks=all\nretries=5\n", "acks=all\nretries=5\n"; "nothing to cover")]
    #[test_case("ssl.key.password=pä1\nacks=1", "ssl.key.password=****\nacks=1"; "in as many bytes")]
    #[test_case("sasl.jaas.config = a \\\n  b=\"c\";\nacks=1", "sasl.jaas.config ****\\\n********\nacks=1"; "over two lines")]
    #[test_case("  sasl.password: x1", "  sasl.password:***"; "yaml")]
    #[test_case("a: { sasl.password: x1 }", "a:**********************"; "yaml in braces")]
    #[test_case("sasl.pasword=x1", "sasl.pasword=**"; "misspelt")]
    #[test_case("#sasl.password=x1", "#sasl.password=**"; "commented out")]
    fn secrets_are_covered(text: &str, expected: &str) {
        assert_eq!(covered(text), expected);
        assert_eq!(covered(text).len(), text.len());
    }
}

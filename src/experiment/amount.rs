//! What a scalar means that is a share or a bandwidth. Pure; the caller knows the place.

use super::hint::one_of;
use super::value::{Wrong, decimal};

/// Per cent, such as `5%` or `0.1%`: above 0, up to 100.
pub fn per_cent(text: &str) -> Result<f64, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is not a share"), "expected per cent, such as `5%`");
    let Some(value) = text.strip_suffix('%').map(str::trim).and_then(decimal) else {
        return Err(match decimal(text.trim()) {
            Some(_) => wrong().hint(format!("give the unit: `{}%`", text.trim())),
            None => wrong(),
        });
    };
    // Below that a draw of 32 bits never comes out.
    if !(1e-6..=100.0).contains(&value) {
        return Err(wrong().hint("it must be above 0% and up to 100%"));
    }
    Ok(value)
}

/// In bits a second; whole bytes, too, are what people think in.
const UNITS: &[(&str, u64)] = &[
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("GiB/s", 8 << 30),
    ("MiB/s", 8 << 20),
    ("KiB/s", 8 << 10),
    ("bit/s", 1),
];
const SLOWEST: u64 = 1_000;
const FASTEST: u64 = 100_000_000_000;

/// A bandwidth in bits a second, such as `10Mbit/s` or `1MiB/s`.
pub fn bandwidth(text: &str) -> Result<u64, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not a bandwidth"),
            "expected a bandwidth such as `10Mbit/s`, `64kbit/s` or `1MiB/s`",
        )
    };
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let Ok(number) = number.parse::<u64>() else {
        return Err(wrong().hint("a whole number and a unit"));
    };
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let same = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        return Err(match same {
            Some((name, _)) => wrong().hint(format!("did you mean `{number}{name}`?")),
            None => wrong().hint(format!("units are {}", one_of(UNITS.iter().map(|(name, _)| *name)))),
        });
    };
    let bits = number.checked_mul(*factor).filter(|bits| (SLOWEST..=FASTEST).contains(bits));
    bits.ok_or_else(|| wrong().hint("it must lie between 1kbit/s and 100Gbit/s"))
}

/// A bandwidth as it is written: the largest unit that divides it.
pub fn format_bandwidth(bits_per_second: u64) -> String {
    let fits = UNITS.iter().find(|(_, factor)| bits_per_second.is_multiple_of(*factor));
    fits.map_or_else(String::new, |(name, factor)| format!("{}{name}", bits_per_second / factor))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::{bandwidth, format_bandwidth, per_cent};

    #[test_case("5%", Some(5.0))]
    #[test_case("0.5 %", Some(0.5))]
    #[test_case("100%", Some(100.0))]
    #[test_case("0%", None)]
    #[test_case("101%", None)]
    #[test_case("5", None)]
    #[test_case("-5%", None)]
    #[test_case("nan%", None)]
    #[test_case("%", None)]
    fn shares(text: &str, value: Option<f64>) {
        assert_eq!(per_cent(text).ok(), value);
    }

    #[test_case("10Mbit/s", Some(10_000_000))]
    #[test_case("64 kbit/s", Some(64_000))]
    #[test_case("1MiB/s", Some(8 << 20))]
    #[test_case("1bit/s", None; "too slow")]
    #[test_case("1000Gbit/s", None; "too fast")]
    #[test_case("99999999999999999999Gbit/s", None; "beyond numbers")]
    #[test_case("1MB/s", None; "unknown unit")]
    #[test_case("10", None; "no unit")]
    #[test_case("Mbit/s", None; "no number")]
    fn bandwidths(text: &str, bits: Option<u64>) {
        assert_eq!(bandwidth(text).ok(), bits);
        if let Some(bits) = bits {
            assert_eq!(bandwidth(&format_bandwidth(bits)), Ok(bits));
        }
    }

    #[test]
    fn a_wrong_case_is_put_right() {
        assert_eq!(bandwidth("10mbit/s").unwrap_err().hint.as_deref(), Some("did you mean `10Mbit/s`?"));
        assert_eq!(per_cent("7").unwrap_err().hint.as_deref(), Some("give the unit: `7%`"));
    }
}

//! What a scalar means that is a share, a size or a bandwidth. Pure; the caller knows the place.

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

/// Units of sizes, in bytes.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A size in bytes such as `1KiB`, `200B` or `1GiB`.
pub fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is not a size"), "expected a size such as `200B`, `1KiB` or `1GiB`");
    in_units(text, SIZES, "B", wrong)?.ok_or_else(|| wrong().hint("that is more than there is"))
}

/// A size as it is written: the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    let binary = SIZES.iter().take(3).find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match binary {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Units of bandwidths, in bits a second; whole bytes, too, are what people think in.
const BANDWIDTHS: &[(&str, u64)] = &[
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
    let bits = in_units(text, BANDWIDTHS, "Mbit/s", wrong)?.filter(|bits| (SLOWEST..=FASTEST).contains(bits));
    bits.ok_or_else(|| wrong().hint("it must lie between 1kbit/s and 100Gbit/s"))
}

/// A whole number and a unit, which is asked for by the `usual` one; none if that is more than a number can be.
fn in_units(text: &str, units: &[(&str, u64)], usual: &str, wrong: impl Fn() -> Wrong) -> Result<Option<u64>, Wrong> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let Ok(number) = number.parse::<u64>() else {
        let hint = if digits > 0 { "that is more than there is" } else { "a whole number and a unit" };
        return Err(wrong().hint(hint));
    };
    if let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) {
        return Ok(number.checked_mul(*factor));
    }
    let same = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    Err(wrong().hint(match same {
        Some((name, _)) => format!("did you mean `{number}{name}`?"),
        None if unit.is_empty() => format!("give the unit: `{number}{usual}`"),
        None => format!("units are {}", one_of(units.iter().map(|(name, _)| *name))),
    }))
}

/// A bandwidth as it is written: the largest unit that divides it.
pub fn format_bandwidth(bits_per_second: u64) -> String {
    let fits = BANDWIDTHS.iter().find(|(_, factor)| bits_per_second.is_multiple_of(*factor));
    fits.map_or_else(String::new, |(name, factor)| format!("{}{name}", bits_per_second / factor))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::{bandwidth, format_bandwidth, format_size, per_cent, size};

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

    #[test_case("200B", 200)]
    #[test_case("1KiB", 1024)]
    #[test_case("1 KiB", 1024; "space")]
    #[test_case("3kB", 3000)]
    #[test_case("2GiB", 2 << 30)]
    #[test_case("1MB", 1_000_000)]
    fn sizes(text: &str, bytes: u64) {
        assert_eq!(size(text), Ok(bytes));
    }

    #[test_case("1024", Some("give the unit: `1024B`"); "no unit")]
    #[test_case("1kib", Some("did you mean `1KiB`?"); "case")]
    #[test_case("1KB", Some("did you mean `1kB`?"); "capital k")]
    #[test_case("1.5KiB", Some("units are `GiB`, `MiB`, `KiB`, `GB`, `MB`, `kB` or `B`"); "fraction")]
    #[test_case("-1B", Some("a whole number and a unit"); "negative")]
    #[test_case("", Some("a whole number and a unit"); "nothing")]
    #[test_case("99999999999999999GiB", Some("that is more than there is"); "overflow")]
    fn not_sizes(text: &str, hint: Option<&str>) {
        assert_eq!(size(text).unwrap_err().hint.as_deref(), hint);
    }

    #[test_case(1024, "1KiB")]
    #[test_case(1 << 30, "1GiB")]
    #[test_case(1000, "1000B")]
    #[test_case(1536, "1536B")]
    #[test_case(0, "0B")]
    fn sizes_are_written_as_they_are_read(bytes: u64, text: &str) {
        assert_eq!(format_size(bytes), text);
        assert_eq!(size(text), Ok(bytes));
    }
}

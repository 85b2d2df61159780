//! Lengths of time as people write them: `90 s`, `30 min`, `1 h`, `10 d`.
//!
//! Refuses fractions and mixtures; one number, one unit.

const UNITS: [(&str, u32); 4] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];

/// In the largest unit that loses nothing.
pub fn to_text(seconds: u32) -> String {
    UNITS
        .into_iter()
        .find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size))
        .map_or_else(|| format!("{seconds} s"), |(unit, size)| format!("{} {unit}", seconds / size))
}

/// Seconds; a bare number is seconds.
pub fn parse(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u32 = text[..digits].parse().ok()?;
    let size = match text[digits..].trim().to_lowercase().as_str() {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    number.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!([60, 90, 3600, 864_000, 0].map(to_text), ["1 min", "90 s", "1 h", "10 d", "0 s"]);
        for seconds in [0, 1, 59, 60, 61, 3600, 86_399, 864_000] {
            assert_eq!(parse(&to_text(seconds)), Some(seconds));
        }
        assert_eq!(
            ["5", " 2H ", "1 day", "x", "1 year", "9999999 d", ""].map(parse),
            [Some(5), Some(7200), Some(86_400), None, None, None, None]
        );
    }
}

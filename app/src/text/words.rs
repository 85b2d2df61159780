//! Relative times, exact times, counts and sizes in plain words.
//!
//! Refuses to read a clock: `now` is an argument, so that server and browser say the same.

use domain::{Timestamp, time::in_words};

/// How long ago: `now`, `40 s ago`, `12 min ago`, `3 h ago`, `2 d ago`, and the date after two months.
pub fn ago(now: Timestamp, at: Timestamp) -> String {
    match short(now.since(at)) {
        span if span == "now" => span,
        _ if now.since(at) > 60 * DAY => day(at),
        span => format!("{span} ago"),
    }
}

const DAY: i64 = 86_400_000;

/// A span of time in one unit: `now`, `40 s`, `12 min`, `3 h`, `2 d`.
pub fn short(millis: i64) -> String {
    let s = millis.max(0) / 1000;
    match s {
        0..5 => "now".into(),
        5..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// The date alone: `2026-01-31`.
pub fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// Date and time to the second, with the zone: `2026-01-31 12:00:00 UTC`.
pub fn exact(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default())
}

/// Time since the stage began, as the log shows it: `00:01.2`, `1:02:03.4` after an hour.
pub fn offset(millis: i64) -> String {
    let tenths = millis.max(0) / 100;
    let (h, m, s, t) = (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60, tenths % 10);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{t}") } else { format!("{m:02}:{s:02}.{t}") }
}

/// What is left of `usual` after `gone`: `about 40 s left`, or that it takes longer than usual.
pub fn left(usual: i64, gone: i64) -> String {
    if gone >= usual {
        "longer than usual".into()
    } else {
        format!("about {} left", in_words((usual - gone).max(1000)))
    }
}

/// `1 commit`, `3 commits`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n as u64), if n == 1 { one } else { many })
}

/// `1,284`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A text's characters as an address carries them.
pub fn in_address(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `640 B`, `1.2 KB`, `24 MB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1000.0 {
            return if value < 10.0 && unit != "B" {
                format!("{value:.1} {unit}")
            } else {
                format!("{value:.0} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `1st`, `2nd`, `3rd`, `4th`.
pub fn ordinal(n: u32) -> String {
    let end = match (n % 10, n % 100) {
        (1, 11) | (2, 12) | (3, 13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

/// With a capital at its head, as a sentence that stands alone.
pub fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Two letters for a face: initials of the first two words, or the first two letters.
pub fn initials(name: &str) -> String {
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let letters: String = match words.as_slice() {
        [] => "?".into(),
        [one] => one.chars().take(2).collect(),
        [first, second, ..] => first.chars().take(1).chain(second.chars().take(1)).collect(),
    };
    letters.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times() {
        let now = Timestamp(1_000_000_000_000);
        let says = |seconds: i64| ago(now, now.plus(-seconds * 1000));
        assert_eq!(
            [0, 4, 40, 720, 10_900, 172_800].map(says),
            ["now", "now", "40 s ago", "12 min ago", "3 h ago", "2 d ago"]
        );
        assert_eq!(says(100 * 86_400), "2001-06-01");
        assert_eq!(ago(now, now.plus(5000)), "now", "a clock that is ahead is no prophecy");
    }

    #[test]
    fn exact_times_and_offsets() {
        assert_eq!(exact(Timestamp(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!([1_234, 61_000, 3_723_400].map(offset), ["00:01.2", "01:01.0", "1:02:03.4"]);
        assert_eq!([left(60_000, 20_000), left(60_000, 61_000)], ["about 40 s left", "longer than usual"]);
    }

    #[test]
    fn numbers() {
        assert_eq!([1, 1_284, 1_000_000].map(thousands), ["1", "1,284", "1,000,000"]);
        assert_eq!([640, 1_234, 24_100_000].map(size), ["640 B", "1.2 KB", "24 MB"]);
        assert_eq!([1, 2, 3, 11, 22].map(ordinal), ["1st", "2nd", "3rd", "11th", "22nd"]);
        assert_eq!(["there is none", "", "éa"].map(sentence), ["There is none", "", "Éa"]);
        assert_eq!(["Ada Lovelace", "deployer", ""].map(initials), ["AL", "DE", "?"]);
    }

    #[test]
    fn addresses_carry_any_text() {
        assert_eq!(in_address("a b&c=é#"), "a%20b%26c%3D%C3%A9%23");
    }
}

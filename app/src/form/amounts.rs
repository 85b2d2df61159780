//! Memory and processor cores as people write them: `512 MiB`, `2 GiB`, `1.5`.
//!
//! Refuses to round: what cannot be held exactly is not read.

/// MiB from `512`, `512 MiB`, `512m` or `2 GiB`; a number alone is MiB.
pub fn parse_memory(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let times = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1024,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(times)
}

/// In the largest unit that holds it.
pub fn memory_to_text(mib: u32) -> String {
    if mib > 0 && mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

/// Thousandths of a core from `2`, `0.5` or `1.25`.
pub fn parse_cores(text: &str) -> Option<u32> {
    let text = text.trim().trim_end_matches("cores").trim_end_matches("core").trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let thousandths: u32 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

/// Without zeroes that say nothing.
pub fn cores_to_text(millis: u32) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for mib in [0, 6, 512, 1024, 1536, 2048, 1_048_576] {
            assert_eq!(parse_memory(&memory_to_text(mib)), Some(mib));
        }
        for millis in [0, 10, 250, 1000, 1500, 1001, 256_000] {
            assert_eq!(parse_cores(&cores_to_text(millis)), Some(millis));
        }
        assert_eq!(
            ["512", "512m", "2g", "1 gb"].map(parse_memory),
            [Some(512), Some(512), Some(2048), Some(1024)]
        );
        assert_eq!((memory_to_text(2048), cores_to_text(1500)), ("2 GiB".into(), "1.5".into()));
    }

    #[test]
    fn what_is_no_amount_is_not_read() {
        assert_eq!(["", "much", "1.5 GiB", "-1", "9999999 GiB", "1 KiB"].map(parse_memory), [None; 6]);
        assert_eq!(["", "1,5", "1.", ".5", "0.0005", "two", "-1", "9999999"].map(parse_cores), [None; 8]);
    }
}

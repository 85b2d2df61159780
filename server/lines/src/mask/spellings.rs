//! The ways in which a secret finds its way into a log.
//!
//! Refuses spellings under six bytes, for the same reason as secrets under six characters.

use std::{collections::BTreeSet, fmt::Write};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use domain::service::SHORTEST_SECRET;

/// After so many characters programs break what they write in base64: RFC 2045 and `base64`, RFC 7468 and `openssl`.
const BROKEN_AT: [usize; 2] = [76, 64];

/// Adds every spelling of a secret.
pub(super) fn of(secret: &str, needles: &mut BTreeSet<Vec<u8>>) {
    // `echo $SECRET` and `$(cat file)` lose line ends; editors turn one kind of line end into the other.
    let trimmed = secret.trim();
    let mut forms = BTreeSet::from([secret.to_owned(), trimmed.to_owned()]);
    let mut add = |spelling: Vec<u8>| {
        if spelling.len() >= SHORTEST_SECRET {
            needles.insert(spelling);
        }
    };
    if trimmed.contains('\n') {
        let unix = trimmed.replace("\r\n", "\n");
        for line in unix.lines().filter(|line| stands_alone(line)) {
            // Indented, quoted, or behind a prefix, as BuildKit and Compose write: the whole never stands in one piece there.
            for spelling in [line.to_owned()].into_iter().chain(json(line)).chain(shell(line)) {
                add(spelling.into_bytes());
            }
        }
        forms.insert(unix.replace('\n', "\r\n"));
        forms.insert(unix.replace('\n', " "));
        forms.insert(unix);
    }
    for form in &forms {
        add(form.as_bytes().to_vec());
        let hexadecimal = [hex::encode(form), hex::encode_upper(form)];
        for spelling in hexadecimal.into_iter().chain(json(form)).chain(url(form)).chain(shell(form)) {
            add(spelling.into_bytes());
        }
        for offset in 0..3 {
            for spelling in base64(form.as_bytes(), offset) {
                add(spelling.into_bytes());
            }
        }
        let whole = STANDARD.encode(form);
        for length in BROKEN_AT.into_iter().filter(|length| whole.len() > *length) {
            whole.as_bytes().chunks(length).for_each(|line| add(line.to_vec()));
        }
    }
}

/// Whether a line of a longer secret is one by itself: not the first or last line of PEM, which everybody knows.
fn stands_alone(line: &str) -> bool {
    domain::service::maskable(line) && !(line.starts_with("-----") && line.trim_end().ends_with("-----"))
}

/// What a secret looks like within the base64 of something that holds it `offset` bytes after a group's start: without the
/// characters that also depend on what stands around it, and as it ends when nothing follows.
fn base64(secret: &[u8], offset: usize) -> [String; 4] {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(secret);
    let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    let (standard, for_urls) = (STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
    [&standard[from..to], &standard[from..], &for_urls[from..to], &for_urls[from..]].map(str::to_owned)
}

/// Within a string of JSON: as it is, with everything beyond ASCII escaped, with slashes escaped (PHP), with what means something in
/// HTML escaped (Go, .NET).
fn json(text: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(text).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let escaped = |of: &str, which: &str| {
        let mut out = String::new();
        for c in of.chars() {
            if c.is_ascii() && !which.contains(c) {
                out.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        out
    };
    let upper = |text: String| {
        let mut parts = text.split("\\u");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| {
            let at = part.floor_char_boundary(4);
            out + "\\u" + &part[..at].to_ascii_uppercase() + &part[at..]
        })
    };
    // .NET writes a quotation mark by its number too.
    let dotnet = upper(escaped(&plain.replace("\\\"", "\\u0022"), "<>&+'`"));
    let php = plain.replace('/', "\\/");
    let mut all = vec![escaped(&php, ""), php, escaped(&plain, ""), escaped(&plain, "<>&"), dotnet];
    let go = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    all.extend([go, plain]);
    all
}

fn url(text: &str) -> Vec<String> {
    let percent = |kept: &str, space: &str, upper: bool| {
        let mut out = String::new();
        for byte in text.bytes() {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "-._~".contains(c) || (c.is_ascii() && kept.contains(c)) {
                out.push(c);
            } else if c == ' ' {
                out.push_str(space);
            } else {
                let _ = if upper { write!(out, "%{byte:02X}") } else { write!(out, "%{byte:02x}") };
            }
        }
        out
    };
    let mut all = Vec::new();
    for upper in [true, false] {
        // By RFC 3986, as a form field, by encodeURIComponent, by encodeURI, and as part of a path.
        for (kept, space) in
            [("", "%20"), ("*", "+"), ("", "+"), ("!'()*", "%20"), ("!'()*;,/?:@&=+$#", "%20"), ("/", "%20")]
        {
            all.push(percent(kept, space, upper));
        }
    }
    all
}

fn shell(text: &str) -> [String; 3] {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,\n".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    [text.replace('\'', r"'\''"), text.replace('\'', r#"'"'"'"#), escaped]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::Engine;

    use crate::mask::Masks;

    #[test]
    fn every_spelling_is_found() {
        let secret = "p/s' wörd+\"$x";
        let masks = Masks::new([secret]);
        for around in ["", "a", "ab", "abc"] {
            let encoded = STANDARD.encode(format!("{around}{secret}{around}"));
            let masked = masks.text(&encoded);
            assert!(masked.contains("******"), "{encoded} -> {masked}");
            assert!(masked.len() <= 6 + 2 * 6, "{encoded} -> {masked}");
        }
        for spelling in [
            secret.to_owned(),
            "p%2Fs%27%20w%C3%B6rd%2B%22%24x".into(),
            "p%2fs%27+w%c3%b6rd%2b%22%24x".into(),
            r#"p/s' wörd+\"$x"#.into(),
            r#"p/s' w\u00f6rd+\"$x"#.into(),
            r#"p/s'\'' wörd+"$x"#.into(),
            r#"p/s\'\ wörd+\"\$x"#.into(),
            hex::encode(secret),
        ] {
            assert_eq!(masks.text(&format!("<{spelling}>")), "<******>", "{spelling}");
        }
    }

    use base64::engine::general_purpose::STANDARD;
}

//! The ways in which a secret finds its way into a log.
//!
//! Refuses spellings under six bytes, for the same reason as secrets under six characters.

use std::{collections::BTreeSet, fmt::Write};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use domain::service::SHORTEST_SECRET;

/// Adds every spelling of a secret.
pub(super) fn of(secret: &str, needles: &mut BTreeSet<Vec<u8>>) {
    // `echo $SECRET` and `$(cat file)` lose line ends; editors turn one kind of line end into the other.
    let trimmed = secret.trim();
    let mut forms = BTreeSet::from([secret.to_owned(), trimmed.to_owned()]);
    if trimmed.contains('\n') {
        let unix = trimmed.replace("\r\n", "\n");
        forms.insert(unix.replace('\n', "\r\n"));
        forms.insert(unix.replace('\n', " "));
        forms.insert(unix);
    }
    let mut add = |spelling: Vec<u8>| {
        if spelling.len() >= SHORTEST_SECRET {
            needles.insert(spelling);
        }
    };
    for form in &forms {
        add(form.as_bytes().to_vec());
        for spelling in [hex::encode(form), hex::encode_upper(form), json(form, false), json(form, true)] {
            add(spelling.into_bytes());
        }
        for spelling in url(form).into_iter().chain(shell(form)) {
            add(spelling.into_bytes());
        }
        for offset in 0..3 {
            for spelling in base64(form.as_bytes(), offset) {
                add(spelling.into_bytes());
            }
        }
    }
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

fn json(text: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted[1..quoted.len() - 1].to_owned();
    if !ascii || inner.is_ascii() {
        return inner;
    }
    let mut out = String::new();
    for c in inner.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
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

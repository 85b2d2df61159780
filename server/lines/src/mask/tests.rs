#![allow(clippy::unwrap_used)]

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use proptest::{prelude::*, sample::Index};

use super::*;

fn cut(masks: &Masks, text: &[u8], cuts: &[Index]) -> Vec<u8> {
    let (mut masker, mut out, mut from) = (masks.stream(), Vec::new(), 0);
    for cut in cuts.iter().map(|c| c.index(text.len() + 1)).collect::<BTreeSet<_>>() {
        masker.feed(&text[from..cut], &mut out);
        from = cut;
    }
    masker.feed(&text[from..], &mut out);
    masker.finish(&mut out);
    out
}

/// The meaning in its plainest form: cover every occurrence, then replace each covered stretch.
fn plain(needles: &BTreeSet<Vec<u8>>, text: &[u8]) -> Vec<u8> {
    let mut found: Vec<(usize, usize)> = needles
        .iter()
        .flat_map(|n| {
            text.windows(n.len()).enumerate().filter(move |(_, w)| w == n).map(|(i, w)| (i, i + w.len()))
        })
        .collect();
    found.sort_unstable();
    let (mut out, mut at, mut rest) = (Vec::new(), 0, found.into_iter().peekable());
    while let Some((start, mut end)) = rest.next() {
        while let Some((_, e)) = rest.next_if(|(s, _)| *s < end) {
            end = end.max(e);
        }
        out.extend_from_slice(&text[at..start]);
        out.extend_from_slice(MASK.as_bytes());
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

fn needles(secrets: &[String]) -> BTreeSet<Vec<u8>> {
    let mut needles = BTreeSet::new();
    secrets.iter().filter(|s| maskable(s)).for_each(|secret| spellings::of(secret, &mut needles));
    needles
}

/// A spelling, by means other than those that are tested, and how many bytes of it may also depend on what stands around it.
fn spelled(secret: &str, how: usize) -> (String, usize) {
    let percent = |space: &str, upper: bool| -> String {
        secret.bytes().fold(String::new(), |out, b| match b {
            b' ' => out + space,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out + char::from(b).encode_utf8(&mut [0])
            }
            _ if upper => out + &format!("%{b:02X}"),
            _ => out + &format!("%{b:02x}"),
        })
    };
    let around = ["", "\u{1}", "\u{1}\u{2}"];
    match how {
        0 => (secret.to_owned(), 0),
        1..=3 => (STANDARD.encode(format!("{}{secret}\u{1}", around[how - 1])), 4),
        4..=6 => (URL_SAFE_NO_PAD.encode(format!("{}{secret}", around[how - 4])), 4),
        7 => (secret.bytes().map(|b| format!("{b:02x}")).collect(), 0),
        8 => (secret.bytes().map(|b| format!("{b:02X}")).collect(), 0),
        9 => (percent("%20", true), 0),
        10 => (percent("%20", false), 0),
        11 => (percent("+", true), 0),
        12 => {
            let quoted = serde_json::to_string(secret).unwrap();
            (quoted[1..quoted.len() - 1].to_owned(), 0)
        }
        13 => (secret.replace('\'', r"'\''"), 0),
        _ => (secret.replace('\n', "\r\n"), 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_cut_gives_the_same(
        secrets in prop::collection::vec("[ab\n]{6,12}|[ab]{6}|abababab", 1..5),
        text in "[ab\nc]{0,200}",
        repeated in 1usize..9,
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let masks = Masks::new(secrets.iter().map(String::as_str));
        // Long enough, at times, to be looked through beforehand.
        let text = text.repeat(repeated);
        let expected = plain(&needles(&secrets), text.as_bytes());
        prop_assert_eq!(&cut(&masks, text.as_bytes(), &[]), &expected);
        prop_assert_eq!(&cut(&masks, text.as_bytes(), &cuts), &expected);
        // A second pass over whole lines covers the same, and keeps every line's end.
        let lines = masks.lines(text.as_bytes()).unwrap_or_else(|| text.clone().into_bytes());
        prop_assert_eq!(lines.iter().filter(|b| **b == b'\n').count(), text.matches('\n').count());
        if !text.contains('\n') {
            prop_assert_eq!(&lines, &expected);
        }
    }

    #[test]
    fn no_part_of_any_secret_in_any_spelling_at_any_cut_comes_out(
        secrets in prop::collection::vec("[ -~]{6,20}|[a-zäß/+]{6,12}|[A-Z]{6,70}|[a-z0-9+/]{20,30}\n[a-z0-9+/ ]{8,30}(\n[{]\n)?", 1..4),
        which in any::<Index>(),
        how in 0usize..15,
        filler in prop_oneof![Just(0usize), 0usize..2000],
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        late in any::<bool>(),
    ) {
        prop_assume!(secrets.iter().all(|s| maskable(s)));
        let secret = &secrets[which.index(secrets.len())];
        let (said, fringe) = spelled(secret, how);
        let filler = "\u{3}".repeat(filler);
        let text = format!("{filler}{said}{filler}").into_bytes();
        let masks = Masks::new(secrets.iter().map(String::as_str));
        let whole = cut(&masks, &text, &[]);
        prop_assert_eq!(&cut(&masks, &text, &cuts), &whole);
        let left: Vec<u8> = whole.iter().copied().filter(|b| *b != 3).collect();
        let said = said.as_bytes();
        for window in left.windows(6).filter(|w| *w != MASK.as_bytes()) {
            prop_assert!(!said[fringe.min(said.len())..said.len().saturating_sub(fringe)].windows(6).any(|w| w == window && !w.contains(&b'*')),
                "{:?} of {:?} came out as {:?}", String::from_utf8_lossy(window), String::from_utf8_lossy(said), String::from_utf8_lossy(&left));
        }
        prop_assert!(left.windows(6).any(|w| w == MASK.as_bytes()), "{:?}", String::from_utf8_lossy(&left));
        prop_assert!(masks.lines(&text).is_some());
        // Told of in the middle of the stream, it is masked from there on.
        if late {
            let (mut masker, mut out) = (Masks::new(secrets.iter().filter(|s| *s != secret).map(String::as_str)).stream(), Vec::new());
            masker.feed(filler.as_bytes(), &mut out);
            masker.follow(&masks);
            masker.feed(&text, &mut out);
            masker.finish(&mut out);
            out.retain(|b| *b != 3);
            prop_assert_eq!(out, left);
        }
    }
}

#[test]
fn only_what_may_become_a_secret_waits() {
    let (mut masker, mut out) = (Masks::new(["s3cret-value"]).stream(), Vec::new());
    masker.feed(b"hello s3cre", &mut out);
    assert_eq!(out, b"hello ");
    masker.feed(b"\n", &mut out);
    assert_eq!(out, b"hello s3cre\n", "a line's end lets everything go");
    masker.feed(b"s3cret-value", &mut out);
    assert_eq!(out, b"hello s3cre\n******");
}

#[test]
fn a_secret_over_several_lines_is_one_and_each_long_line_of_it_too() {
    let masks = Masks::new(["{\n  \"key\": 12\n}\n"]);
    assert_eq!(masks.text("a {\n  \"key\": 12\n} b {\n}"), "a ****** b {\n}");
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0B/QEF+A==\nAb==\n-----END KEY-----\n";
    let masks = Masks::new([key]);
    assert_eq!(masks.text(key), "******");
    assert_eq!(masks.text(&key.replace('\n', "\r\n")), "******\r\n", "as a terminal ends lines");
    assert_eq!(
        masks.text("#5 0.2 -----BEGIN KEY-----\n#5 0.2 MIIEvQIBADANBgkq\n#5 Ab=="),
        "#5 0.2 -----BEGIN KEY-----\n#5 0.2 ******\n#5 Ab=="
    );
    let lines = masks.lines(format!("x\n{key}y\n").as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        "x\n******\n******\n******\n******\n******\ny\n",
        "no line is lost"
    );
    let broken = STANDARD
        .encode(key.repeat(2))
        .as_bytes()
        .chunks(76)
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>()
        .join(&b'\n');
    assert_eq!(
        Masks::new([key.repeat(2).as_str()]).text(std::str::from_utf8(&broken).unwrap()),
        "******\n******\n******"
    );
}

#[test]
fn secrets_that_overlap_or_lie_within_each_other_are_covered_as_one() {
    let masks = Masks::new(["abcdef", "defghi", "bcdefghijk"]);
    assert_eq!(masks.text("<abcdefghi> <abcdefghijk> abcde"), "<******> <******> abcde");
    assert_eq!(masks.lines(b"<abcdefghi> <abcdefghijk> abcde").unwrap(), b"<******> <******> abcde");
}

#[test]
fn what_was_under_way_when_another_was_added_is_followed_to_its_end() {
    let one = Masks::new(["abcdef"]);
    let both = one.with(["cdefgh"]);
    let (mut masker, mut out) = (one.stream(), Vec::new());
    masker.feed(b"-abc", &mut out);
    masker.follow(&both);
    masker.feed(b"def-", &mut out);
    masker.feed(b"cdefgh-", &mut out);
    masker.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "-******-******-");
    assert!(both.with(["abcdef"]).same(&both), "nothing new is nothing done");
}

#[test]
fn memory_stays_bounded_within_one_long_mask() {
    let (mut masker, mut out) = (Masks::new(["aaaaaa"]).stream(), Vec::new());
    for _ in 0..1000 {
        masker.feed(&[b'a'; 1000], &mut out);
        assert!(masker.waiting() <= 8);
    }
    masker.finish(&mut out);
    assert_eq!(out, MASK.as_bytes());
}

#[test]
fn short_ones_are_refused_and_nothing_is_told_of_any() {
    let masks = Masks::new(["abc", "      "]);
    assert_eq!(masks.text("abc       abc"), "abc       abc");
    assert!(masks.is_empty() && masks.lines(b"abc").is_none());
    assert!(!format!("{:?}", Masks::new(["s3cret-value"]).stream()).contains("s3cret"));
}

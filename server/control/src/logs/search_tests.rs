#![allow(clippy::unwrap_used)]

use domain::{Timestamp, protocol::NewLine, view::Stream};
use proptest::prelude::*;

use super::*;

/// Rows of a few lines each, as batches leave them.
fn rows(texts: &[&str], each: usize) -> Vec<Row> {
    let (mut first, mut rows) = (0, Vec::new());
    for some in texts.chunks(each.max(1)) {
        let lines: Vec<_> = some
            .iter()
            .map(|t| NewLine { at: Timestamp(0), stream: Stream::Stdout, text: (*t).into() })
            .collect();
        let next = first + some.len() as u64;
        let body = block::pack(&lines, 1).unwrap();
        rows.push(Row { first, next, body });
        first = next;
    }
    rows
}

fn search(search: &Search, part: Part, limit: usize, rows: &[Row]) -> LogMatches {
    let mut scan = Scan::new(search.compile().unwrap(), part, limit);
    rows.iter().for_each(|row| scan.row(row).unwrap());
    scan.found()
}

fn seqs(found: &LogMatches) -> Vec<u64> {
    found.matches.iter().map(|m| m.seq).collect()
}

fn regex(pattern: &str) -> Search {
    Search { pattern: pattern.into(), regex: true, case: Case::Smart }
}

#[test]
fn plain_text_is_taken_as_it_is_and_case_is_smart() {
    let rows = rows(&["a.b", "aXb", "A.B", "", "\u{1b}[31ma\u{1b}[0m.b c"], 2);
    let all = |q: &str| seqs(&search(&Search::text(q), Part::From(0), 9, &rows));
    assert_eq!(all("a.b"), [0, 2, 4], "colours lie in no one's way");
    assert_eq!(all("A.B"), [2]);
    assert_eq!(all("[31m"), [0_u64; 0], "what nobody sees is not found");
    let exact = Search { case: Case::Exact, ..Search::text("a.b") };
    assert_eq!(seqs(&search(&exact, Part::From(0), 9, &rows)), [0, 4]);
    let ignore = Search { case: Case::Ignore, ..Search::text("A.B") };
    assert_eq!(seqs(&search(&ignore, Part::From(0), 9, &rows)), [0, 2, 4]);
    let found = search(&Search::text("b c"), Part::From(0), 9, &rows);
    assert_eq!(found.matches[0].text, "\u{1b}[31ma\u{1b}[0m.b c", "the line comes as it was printed");
}

#[test]
fn a_regular_expression_stays_within_its_line() {
    let rows = rows(&["one", "two", "", "three four", "three"], 9);
    let all = |q: &str| seqs(&search(&regex(q), Part::From(0), 9, &rows));
    assert_eq!(all(r"^t"), [1, 3, 4]);
    assert_eq!(all(r"e$"), [0, 4]);
    assert_eq!(all(r"^$"), [2]);
    assert_eq!(all(r"e\s+t"), [0_u64; 0]);
    assert_eq!(all(r"[^x]*"), [0, 1, 2, 3, 4]);
    assert_eq!(all(r"(?s)one.*three"), [0_u64; 0]);
    assert_eq!(all(r"\S+ \w{4}$"), [3]);
    assert_eq!(all(r"x*"), [0, 1, 2, 3, 4], "an empty match is one in every line");
}

#[test]
fn what_cannot_be_searched_for_is_said() {
    for (bad, says) in [("(", "unclosed group"), (r"a\nb", "\\n"), (r"\w{999999}", ""), ("", ""), ("*", "")] {
        match regex(bad).compile() {
            Err(Error::Invalid(fields)) => {
                assert_eq!(fields[0].field, "q");
                assert!(fields[0].message.contains(says), "{bad}: {}", fields[0].message);
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
    assert!(Search::text("(").compile().is_ok());
    assert!(Search::text("x".repeat(1001)).compile().is_err());
}

#[test]
fn matches_come_in_parts() {
    let texts: Vec<String> =
        (0..100).map(|n| if n % 10 == 3 { "hit".into() } else { n.to_string() }).collect();
    let rows = rows(&texts.iter().map(String::as_str).collect::<Vec<_>>(), 7);
    let part = |part, limit| {
        let found = search(&Search::text("hit"), part, limit, &rows);
        (seqs(&found), found.total, found.earlier, found.next)
    };
    assert_eq!(part(Part::From(0), 3), (vec![3, 13, 23], 10, 0, Some(33)));
    assert_eq!(part(Part::From(33), 3), (vec![33, 43, 53], 10, 3, Some(63)));
    assert_eq!(part(Part::From(84), 3), (vec![93], 10, 9, None));
    assert_eq!(part(Part::Before(53), 2), (vec![33, 43], 10, 3, Some(53)));
    assert_eq!(part(Part::Before(3), 2), (vec![], 10, 0, Some(3)));
    assert_eq!(part(Part::Before(1000), 2), (vec![83, 93], 10, 8, None));
}

#[test]
fn errors_are_known_by_their_words() {
    let says = [
        ("error: it broke", true),
        ("src/main.rs:3:1: error[E0425]: cannot find", true),
        ("npm ERR! code 1", false),
        ("ValueError: no", true),
        ("thread 'main' panicked at src/x.rs", true),
        ("not ok 3 - adds", true),
        ("FAILED: test", true),
        ("0 errors, 0 warnings", false),
        ("error handling is tested", false),
        ("all is well", false),
    ];
    for (text, is) in says {
        assert_eq!(search(&Search::errors(), Part::From(0), 1, &rows(&[text], 1)).total == 1, is, "{text}");
    }
}

proptest! {
    /// The meaning in its plainest form: each line on its own.
    #[test]
    fn as_if_each_line_were_looked_at_alone(
        texts in prop::collection::vec("[ab ]{0,6}|\u{1b}\\[1ma\u{1b}\\[m[ab]", 0..40),
        pattern in prop::sample::select(vec!["a", "ab", "ba", "a[^b]", "^a", "b$", "a*", r"\s", "[^a]+b", "(a|b )+", "^$"]),
        each in 1..9_usize, from in 0..50_u64, limit in 1..9_usize,
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let one = regex(pattern).compile().unwrap();
        let hit = |t: &str| one.is_match(&block::visible(t.as_bytes())).unwrap();
        let all: Vec<u64> = texts.iter().zip(0..).filter(|(t, _)| hit(t)).map(|(_, n)| n).collect();
        let found = search(&regex(pattern), Part::From(from), limit, &rows(&texts, each));
        let wanted: Vec<u64> = all.iter().copied().filter(|n| *n >= from).collect();
        prop_assert_eq!(found.total, all.len() as u64);
        prop_assert_eq!(found.earlier, (all.len() - wanted.len()) as u64);
        prop_assert_eq!(seqs(&found), wanted.iter().copied().take(limit).collect::<Vec<_>>());
        prop_assert_eq!(found.next, wanted.get(limit).copied());
        for m in &found.matches {
            prop_assert_eq!(&m.text, texts[m.seq as usize]);
        }
    }
}

// What must hold of masking for any bytes; shared by the fuzz target and the test over its corpus.
//
// Parts are separated by 0xff: secrets, then the text, then where it is cut (a byte each, as a share of its length).

/// Panics when it does not hold.
pub fn masking(data: &[u8]) {
    let mut parts: Vec<&[u8]> = data.split(|b| *b == 0xff).collect();
    let (Some(cuts), Some(text)) = (parts.pop(), parts.pop()) else { return };
    let secrets: Vec<String> = parts.iter().take(8).map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    let (early, late) = secrets.split_at(secrets.len().div_ceil(2));
    let few = lines::mask::Masks::new(early.iter().map(String::as_str));
    let masks = few.with(late.iter().map(String::as_str));

    let mut at: Vec<usize> = cuts.iter().map(|c| text.len() * usize::from(*c) / 255).collect();
    at.sort_unstable();
    let cut = |masks: &lines::mask::Masks, at: &[usize]| {
        let (mut masker, mut out, mut from) = (masks.stream(), Vec::new(), 0);
        for to in at {
            masker.feed(&text[from..*to], &mut out);
            from = *to;
        }
        masker.feed(&text[from..], &mut out);
        masker.finish(&mut out);
        out
    };
    let whole = cut(&masks, &[]);
    assert_eq!(cut(&masks, &at), whole, "a cut changed what came out");
    let all: Vec<usize> = (0..text.len()).collect();
    assert_eq!(cut(&masks, &all), whole, "byte by byte something else came out");

    // Whatever has a star in it may come about by masking itself.
    let secrets = || secrets.iter().filter(|s| lines::mask::maskable(s) && !s.contains('*'));
    let holds = |text: &[u8], needle: &str| text.windows(needle.len()).any(|w| w == needle.as_bytes());
    for secret in secrets() {
        assert!(!holds(&whole, secret), "{secret:?} came out");
    }
    let ends = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count();
    let second = masks.lines(text);
    assert_eq!(ends(second.as_deref().unwrap_or(text)), ends(text), "a line was lost");
    for secret in secrets().filter(|s| !s.contains('\n')) {
        assert!(!holds(second.as_deref().unwrap_or(text), secret), "{secret:?} came past the second look");
    }

    // Told of in the middle, the others are masked from there on.
    let middle = at.first().copied().unwrap_or(0);
    let (mut masker, mut before, mut after) = (few.stream(), Vec::new(), Vec::new());
    masker.feed(&text[..middle], &mut before);
    masker.follow(&masks);
    masker.feed(&text[middle..], &mut after);
    masker.finish(&mut after);
    for secret in secrets() {
        let known = early.contains(secret);
        assert!(!known || !holds(&[before.clone(), after.clone()].concat(), secret), "{secret:?} came out");
        assert!(middle > 0 || !holds(&after, secret), "{secret:?} came out after it was told of");
    }

    // A line that asks for a mask is heard the same however it is cut.
    let hear = |at: &[usize]| {
        let (mut listener, mut said, mut from) = (lines::added::Listener::default(), (Vec::new(), Vec::new()), 0);
        let mut hear = |heard: lines::added::Heard<'_>| match heard {
            lines::added::Heard::Text(text) => said.0.extend_from_slice(text),
            lines::added::Heard::Mask(value) => said.1.push(value),
            lines::added::Heard::TooLong => said.1.push(String::new()),
        };
        for to in at {
            listener.feed(&text[from..*to], &mut hear);
            from = *to;
        }
        listener.feed(&text[from..], &mut hear);
        listener.finish(&mut hear);
        said
    };
    assert_eq!(hear(&at), hear(&[]), "a cut changed what was heard");
}

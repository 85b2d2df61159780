//! `::add-mask::VALUE`, printed at the beginning of a line by a command: from there on VALUE is masked, and the line itself is never
//! shown. The words are those of GitHub's runner, which others have taken over; so are its escapes `%25`, `%0D` and `%0A`.
//!
//! Works on bytes before anything else does, because what is masked already could not be read back. Refuses to hold back more than
//! what may still become such a line.

use memchr::memchr2;

const WORDS: &[u8] = b"::add-mask::";
/// Blanks before the words that are put up with.
const BLANKS: usize = 64;
/// A value may be so long; of a longer one nothing is shown, and nothing is masked either.
pub const LONGEST: usize = 64 << 10;
/// So many values of one stage are masked,
pub const MOST: usize = 1000;
/// and so many bytes of them in all.
pub const MOST_BYTES: usize = 256 << 10;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// To be shown, as far as masks allow.
    Text(&'a [u8]),
    /// To be masked in everything that follows.
    Mask(String),
    /// A value that was longer than [`LONGEST`].
    TooLong,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// A line's beginning; `held` is what came of it, if that may still become the words.
    #[default]
    Start,
    /// A line that is none of ours.
    Within,
    /// Behind the words; `held` is the value so far.
    Value,
    /// Behind a value that was too long.
    Beyond,
    /// Behind a value that ended with a carriage return: a line end that follows belongs to it.
    Returned,
}

/// Listens to one stream.
#[derive(Debug, Default)]
pub struct Listener {
    at: At,
    held: Vec<u8>,
}

impl Listener {
    /// Takes bytes in; tells what they are, in order.
    pub fn feed(&mut self, bytes: &[u8], mut hear: impl FnMut(Heard<'_>)) {
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.at {
                At::Within => {
                    let end = memchr2(b'\n', b'\r', rest);
                    at += end.map_or(rest.len(), |end| end + 1);
                    if end.is_some() {
                        self.at = At::Start;
                    }
                }
                At::Start if self.held.is_empty() => match begins(rest) {
                    Begins::Not => self.at = At::Within,
                    Begins::Perhaps => {
                        tell(&bytes[from..at], &mut hear);
                        self.held.extend_from_slice(rest);
                        return;
                    }
                    Begins::Yes(length) => {
                        tell(&bytes[from..at], &mut hear);
                        (at, self.at) = (at + length, At::Value);
                    }
                },
                At::Start => {
                    self.held.push(bytes[at]);
                    at += 1;
                    match begins(&self.held) {
                        Begins::Perhaps => {}
                        Begins::Yes(_) => {
                            self.held.clear();
                            self.at = At::Value;
                        }
                        Begins::Not => {
                            // The last byte may be a line's end, which is looked at again.
                            self.held.pop();
                            at -= 1;
                            hear(Heard::Text(&self.held));
                            self.held.clear();
                            self.at = At::Within;
                        }
                    }
                    from = at;
                }
                At::Value | At::Beyond => {
                    let end = memchr2(b'\n', b'\r', rest);
                    let length = end.unwrap_or(rest.len());
                    if self.held.len() + length > LONGEST {
                        self.at = At::Beyond;
                        self.held.clear();
                    }
                    if self.at == At::Value {
                        self.held.extend_from_slice(&rest[..length]);
                    }
                    at += length;
                    if let Some(end) = end {
                        at += 1;
                        self.end(rest[end] == b'\r', &mut hear);
                    }
                    from = at;
                }
                At::Returned => {
                    at += usize::from(rest[0] == b'\n');
                    (from, self.at) = (at, At::Start);
                }
            }
        }
        if matches!(self.at, At::Start | At::Within) && self.held.is_empty() {
            tell(&bytes[from..], &mut hear);
        }
    }

    fn end(&mut self, returned: bool, hear: &mut impl FnMut(Heard<'_>)) {
        match self.at {
            At::Beyond => hear(Heard::TooLong),
            _ => hear(Heard::Mask(decoded(&self.held))),
        }
        self.held.clear();
        self.at = if returned { At::Returned } else { At::Start };
    }

    /// The stream has ended.
    pub fn finish(&mut self, mut hear: impl FnMut(Heard<'_>)) {
        match self.at {
            At::Value | At::Beyond => self.end(false, &mut hear),
            _ => tell(&std::mem::take(&mut self.held), &mut hear),
        }
        self.at = At::Start;
    }
}

fn tell(text: &[u8], hear: &mut impl FnMut(Heard<'_>)) {
    if !text.is_empty() {
        hear(Heard::Text(text));
    }
}

enum Begins {
    Not,
    Perhaps,
    /// The words, after so many bytes.
    Yes(usize),
}

fn begins(line: &[u8]) -> Begins {
    let blanks = line.iter().take(BLANKS).take_while(|b| matches!(b, b' ' | b'\t')).count();
    let rest = &line[blanks..];
    if rest.starts_with(WORDS) {
        Begins::Yes(blanks + WORDS.len())
    } else if WORDS.starts_with(rest) && blanks < BLANKS {
        Begins::Perhaps
    } else {
        Begins::Not
    }
}

fn decoded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is shown and what is masked, however the text is cut.
    fn heard(pieces: &[&[u8]]) -> (String, Vec<String>) {
        let (mut listener, mut text, mut masks) = (Listener::default(), Vec::new(), Vec::new());
        let mut hear = |heard: Heard<'_>| match heard {
            Heard::Text(some) => text.extend_from_slice(some),
            Heard::Mask(value) => masks.push(value),
            Heard::TooLong => masks.push("too long".into()),
        };
        pieces.iter().for_each(|piece| listener.feed(piece, &mut hear));
        listener.finish(&mut hear);
        (String::from_utf8_lossy(&text).into_owned(), masks)
    }

    fn one(text: &str) -> (String, Vec<String>) {
        heard(&[text.as_bytes()])
    }

    #[test]
    fn the_line_is_taken_out_and_its_value_told() {
        let said =
            |text: &str, masks: &[&str]| (text.to_owned(), masks.iter().map(|m| (*m).to_owned()).collect());
        assert_eq!(one("a\n::add-mask::s3cret\nb\n"), said("a\nb\n", &["s3cret"]));
        assert_eq!(one("  \t::add-mask::x y%0Az%2525\r\n\nb"), said("\nb", &["x y\nz%25"]));
        assert_eq!(one("10%\r::add-mask::one\r::add-mask::two"), said("10%\r", &["one", "two"]));
        assert_eq!(one("say ::add-mask::x\n::add-mas\n::"), said("say ::add-mask::x\n::add-mas\n::", &[]));
        assert_eq!(one("::add-mask::\n"), said("", &[""]));
        let long = format!("::add-mask::{}\nafter\n", "x".repeat(LONGEST + 1));
        assert_eq!(one(&long), said("after\n", &["too long"]));
        assert_eq!(one(&" ".repeat(500)).0.len(), 500);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_cut_is_heard_alike(
            parts in prop::collection::vec(prop_oneof![Just("::add-mask::"), Just("::add-"), Just("\n"), Just("\r"), Just(" "), Just("x"), Just(":")], 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let text = parts.concat();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            at.sort_unstable();
            at.push(text.len());
            let mut from = 0;
            let pieces: Vec<&[u8]> = at.iter().map(|to| &text.as_bytes()[std::mem::replace(&mut from, *to)..*to]).collect();
            prop_assert_eq!(heard(&pieces), one(&text));
        }
    }
}

//! ANSI colours to HTML: the sixteen named ones from our palette, 256 and true colours bent until they are readable.
//!
//! Refuses everything else a terminal can do (cursor moves, titles, links): those sequences are dropped, their text kept.
//! What goes out is safe to insert: every character of the input is escaped.

use std::fmt::Write;

/// A colour as a program asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Colour {
    /// One of the sixteen.
    Named(u8),
    /// Anything else.
    Rgb(u8, u8, u8),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    ink: Option<Colour>,
    ground: Option<Colour>,
    bold: bool,
    dim: bool,
    italic: bool,
    under: bool,
    strike: bool,
    inverse: bool,
}

/// Escapes text for HTML, in content and in attributes.
pub fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | ' '.. => out.push(c),
            _ => {}
        }
    }
}

/// What a terminal would show of a line in which the cursor goes back to the start: the last part that has text.
fn last_written(line: &str) -> &str {
    line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or("")
}

/// The line's HTML.
pub fn to_html(line: &str, out: &mut String) {
    let mut style = Style::default();
    let mut rest = last_written(line);
    while let Some(at) = rest.find('\u{1b}') {
        span(&style, &rest[..at], out);
        rest = &rest[at + 1..];
        rest = match rest.as_bytes().first() {
            Some(b'[') => {
                let body = &rest[1..];
                let Some(end) = body.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)) else { return };
                if body[end..].starts_with('m') {
                    apply(&body[..end], &mut style);
                }
                &body[end + 1..]
            }
            // Titles and links end with BEL or ESC \.
            Some(b']') => match (rest.find('\u{7}'), rest.find("\u{1b}\\")) {
                (Some(bel), st) if st.is_none_or(|st| bel < st) => &rest[bel + 1..],
                (_, Some(st)) => &rest[st + 2..],
                _ => return,
            },
            // Character sets and other two-letter sequences.
            Some(b'(' | b')' | b'#' | b'%') => rest.get(2..).unwrap_or(""),
            Some(c) if c.is_ascii() && *c != 0x1b => &rest[1..],
            _ => rest,
        };
    }
    span(&style, rest, out);
}

/// The text alone, without any sequence.
pub fn plain(line: &str) -> String {
    let mut html = String::new();
    to_html(line, &mut html);
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    for (entity, c) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, c);
    }
    text
}

fn apply(codes: &str, style: &mut Style) {
    let mut codes =
        codes.split([';', ':']).map(|c| if c.is_empty() { Some(0) } else { c.parse::<u16>().ok() });
    while let Some(code) = codes.next() {
        let Some(code) = code else { continue };
        match code {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.under = true,
            7 => style.inverse = true,
            9 => style.strike = true,
            21 | 22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.under = false,
            27 => style.inverse = false,
            29 => style.strike = false,
            30..=37 => style.ink = Some(Colour::Named((code - 30) as u8)),
            90..=97 => style.ink = Some(Colour::Named((code - 90 + 8) as u8)),
            40..=47 => style.ground = Some(Colour::Named((code - 40) as u8)),
            100..=107 => style.ground = Some(Colour::Named((code - 100 + 8) as u8)),
            39 => style.ink = None,
            49 => style.ground = None,
            38 | 48 => {
                let mut byte = || codes.next().flatten().and_then(|c| u8::try_from(c).ok());
                let colour = match byte() {
                    Some(5) => byte().map(indexed),
                    Some(2) => match (byte(), byte(), byte()) {
                        (Some(r), Some(g), Some(b)) => Some(Colour::Rgb(r, g, b)),
                        _ => None,
                    },
                    _ => None,
                };
                if code == 38 { style.ink = colour } else { style.ground = colour }
            }
            _ => {}
        }
    }
}

/// One of the 256: sixteen named, a cube of 216, 24 greys.
fn indexed(n: u8) -> Colour {
    let level = |v: u8| if v == 0 { 0 } else { 55 + v * 40 };
    match n {
        0..16 => Colour::Named(n),
        16..232 => {
            let n = n - 16;
            Colour::Rgb(level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        _ => {
            let grey = 8 + (n - 232) * 10;
            Colour::Rgb(grey, grey, grey)
        }
    }
}

fn span(style: &Style, text: &str, out: &mut String) {
    if text.is_empty() {
        return;
    }
    if *style == Style::default() {
        return escape(text, out);
    }
    let (mut class, mut own) = (String::new(), String::new());
    let mut word = |name: &str| {
        if !class.is_empty() {
            class.push(' ');
        }
        class.push_str(name);
    };
    match style.ink {
        Some(Colour::Named(n)) => word(&format!("f{n}")),
        Some(Colour::Rgb(r, g, b)) => {
            word("fx");
            let _ = write!(own, "--f:#{r:02x}{g:02x}{b:02x};");
        }
        None => {}
    }
    match style.ground {
        Some(Colour::Named(n)) => word(&format!("g{n}")),
        Some(Colour::Rgb(r, g, b)) => {
            word("gx");
            let _ = write!(own, "--g:#{r:02x}{g:02x}{b:02x};");
        }
        None => {}
    }
    for (on, name) in [
        (style.bold, "fb"),
        (style.dim, "fd"),
        (style.italic, "fi"),
        (style.under, "fu"),
        (style.strike, "fs"),
        (style.inverse, "fv"),
    ] {
        if on {
            word(name);
        }
    }
    let _ = write!(out, "<i class=\"{class}\"");
    if !own.is_empty() {
        let _ = write!(out, " style=\"{own}\"");
    }
    out.push('>');
    escape(text, out);
    out.push_str("</i>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(line: &str) -> String {
        let mut out = String::new();
        to_html(line, &mut out);
        out
    }

    #[test]
    fn named_colours_and_weights() {
        assert_eq!(html("\u{1b}[32mok\u{1b}[0m rest"), r#"<i class="f2">ok</i> rest"#);
        assert_eq!(
            html("\u{1b}[1;91mbad\u{1b}[22m less\u{1b}[m"),
            r#"<i class="f9 fb">bad</i><i class="f9"> less</i>"#
        );
        assert_eq!(html("\u{1b}[7m inverse"), r#"<i class="fv"> inverse</i>"#);
    }

    #[test]
    fn all_the_other_colours() {
        assert_eq!(html("\u{1b}[38;5;9mx"), r#"<i class="f9">x</i>"#);
        assert_eq!(html("\u{1b}[38;5;208mx"), r#"<i class="fx" style="--f:#ff8700;">x</i>"#);
        assert_eq!(html("\u{1b}[38;5;255mx"), r#"<i class="fx" style="--f:#eeeeee;">x</i>"#);
        assert_eq!(html("\u{1b}[48;2;1;2;3mx"), r#"<i class="gx" style="--g:#010203;">x</i>"#);
        assert_eq!(html("\u{1b}[38:2:1:2:3mx"), r#"<i class="fx" style="--f:#010203;">x</i>"#);
        assert_eq!(html("\u{1b}[38;5;999mx\u{1b}[38;9mx"), "xx");
    }

    #[test]
    fn nothing_gets_through() {
        assert_eq!(html("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(html("a\u{1b}[31\"><b>mb"), "a&gt;mb");
        assert_eq!(html("bell\u{7} null\0"), "bell null");
    }

    #[test]
    fn what_a_terminal_would_do_besides() {
        assert_eq!(html("10 %\r50 %\r100 %"), "100 %");
        assert_eq!(html("done\r"), "done");
        assert_eq!(html("\u{1b}[2K\u{1b}[1Gclean"), "clean");
        assert_eq!(html("\u{1b}]8;;https://example.org\u{7}link\u{1b}]8;;\u{1b}\\ end"), "link end");
        assert_eq!(html("\u{1b}(B\u{1b}[mtext\u{1b}"), "text");
        assert_eq!(html("cut \u{1b}[3"), "cut ");
        assert_eq!(plain("\u{1b}[31ma < b & c\u{1b}[0m"), "a < b & c");
    }

    #[test]
    fn any_bytes_are_survived() {
        for line in ["\u{1b}", "\u{1b}[", "\u{1b}]", "\u{1b}é", "\u{1b}[é1m", "\u{1b}(é", "é\u{1b}[31mé"]
        {
            let _ = html(line);
        }
    }
}

//! One style sheet out of many: tokens, fonts, base and shapes first, then every partial by name.
//!
//! Refuses to rewrite: comments and indentation go, everything else stays as it was written.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// In this order; what is not named here follows by name.
const FIRST: [&str; 4] = ["tokens.css", "fonts.css", "base.css", "shapes.css"];

/// The whole style sheet.
///
/// # Errors
/// When a partial cannot be read.
pub fn join(root: &Path) -> Result<String> {
    let mut names: Vec<String> = fs::read_dir(root)
        .with_context(|| format!("reading {}", root.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".css") && !FIRST.contains(&name.as_str()))
        .collect();
    names.sort();
    let mut sheet = String::from("@layer tokens, base, shapes, pages;\n");
    for name in FIRST.into_iter().map(str::to_owned).chain(names) {
        let path = root.join(&name);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        sheet.push_str(&bare(&text));
    }
    Ok(sheet)
}

/// Without comments, indentation and empty lines.
fn bare(css: &str) -> String {
    let mut text = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, after)) = rest.split_once("/*") {
        text.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.fold(String::with_capacity(text.len()), |out, line| out + line + "\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn comments_and_indentation_go() {
        assert_eq!(super::bare("/* a */\n.x {\n    color: red; /* b\n c */\n}\n"), ".x {\ncolor: red;\n}\n");
    }
}

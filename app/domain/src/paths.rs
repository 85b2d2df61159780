//! Which changes concern a service: paths of a repository against the patterns that a person gave.
//!
//! Refuses regular expressions: a folder's name, `*`, `**` and `?` are what people write in such places.

/// Whether any of the changed paths is one that the patterns name. Without patterns every path is.
pub fn concerned<'a>(patterns: &[String], mut changed: impl Iterator<Item = &'a str>) -> bool {
    patterns.is_empty() || changed.any(|path| wanted(patterns, path))
}

/// The last pattern that fits decides; where all of them take paths out, the others are in.
fn wanted(patterns: &[String], path: &str) -> bool {
    let mut wanted = patterns.iter().all(|p| p.starts_with('!'));
    for pattern in patterns {
        let (bare, adds) = match pattern.strip_prefix('!') {
            Some(bare) => (bare, false),
            None => (pattern.as_str(), true),
        };
        if fits(bare, path) {
            wanted = adds;
        }
    }
    wanted
}

/// Whether a pattern names a path, or a folder above it.
fn fits(pattern: &str, path: &str) -> bool {
    let parts: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let names: Vec<&str> = path.split('/').collect();
    (1..=names.len()).any(|depth| whole(&parts, &names[..depth]))
}

fn whole(parts: &[&str], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=names.len()).any(|skip| whole(rest, &names[skip..])),
        (Some((part, parts)), Some((name, names))) => {
            one(part.as_bytes(), name.as_bytes()) && whole(parts, names)
        }
        _ => false,
    }
}

/// One name. Remembers the last star only, so that no pattern takes long.
fn one(part: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match part.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    part[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        concerned(&patterns, [path].into_iter())
    }

    #[test]
    fn patterns() {
        for (patterns, path, wanted) in [
            (&[][..], "anything", true),
            (&["services/orders"], "services/orders/src/main.rs", true),
            (&["services/orders/"], "services/orders/src/main.rs", true),
            (&["services/orders"], "services/orders2/main.rs", false),
            (&["*.md"], "README.md", true),
            (&["*.md"], "docs/guide.md", false),
            (&["**/*.proto"], "orders.proto", true),
            (&["**/*.proto"], "api/v1/orders.proto", true),
            (&["services/*/src"], "services/stock/src/lib.rs", true),
            (&["src/?.rs"], "src/ab.rs", false),
            (&["!docs"], "docs/guide.md", false),
            (&["!docs"], "src/lib.rs", true),
            (&["services", "!**/*.md"], "services/README.md", false),
            (&["!docs", "docs/api"], "docs/api/orders.yaml", true),
        ] {
            assert_eq!(of(patterns, path), wanted, "{patterns:?} {path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_fits_itself_and_its_folders(path in "[a-z]{1,5}(/[a-z.]{1,5}){0,4}", cut in 0usize..5) {
            let names: Vec<&str> = path.split('/').collect();
            let folder = names[..=cut.min(names.len() - 1)].join("/");
            prop_assert!(of(&[&folder], &path));
            prop_assert!(of(&["**"], &path));
        }
    }
}

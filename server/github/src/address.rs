//! Which addresses are repositories of this GitHub, and what they are called there.

use url::Url;

/// Where a GitHub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What browsers and Git use, such as `https://github.com`.
    pub url: Url,
    /// Its REST API, such as `https://api.github.com`.
    pub api: Url,
}

impl Place {
    /// Its address for people, without a slash at the end.
    pub fn site(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// Where Git finds a repository: `owner/name` in full, other addresses as they are.
    pub fn address(&self, repository: &str) -> String {
        let short = self.full_name(repository).is_some() && !repository.contains([':', '@']);
        // A folder of that name on this machine is meant, where there is one.
        if !short || std::path::Path::new(repository).exists() {
            return repository.to_owned();
        }
        let name = repository.trim().trim_end_matches('/');
        format!("{}/{}.git", self.site(), name.strip_suffix(".git").unwrap_or(name))
    }

    /// `owner/name` in lower case: GitHub's names know no case.
    ///
    /// Understands `owner/name`, `https://HOST/owner/name.git`, `git@HOST:owner/name.git` and `ssh://git@HOST/owner/name.git`.
    pub fn full_name(&self, repository: &str) -> Option<String> {
        let repository = repository.trim().trim_end_matches('/');
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        let path = if let Ok(url) = Url::parse(repository)
            && url.has_host()
        {
            let same_port =
                url.scheme() == "ssh" || url.port_or_known_default() == self.url.port_or_known_default();
            if url.host() != self.url.host() || !same_port {
                return None;
            }
            url.path().strip_prefix(self.url.path().trim_end_matches('/'))?.to_owned()
        } else if let Some((user, rest)) = repository.split_once('@') {
            let path = rest.strip_prefix(self.url.host_str()?)?.strip_prefix(':')?;
            if user.contains('/') {
                return None;
            }
            path.to_owned()
        } else {
            repository.to_owned()
        };
        let (owner, name) = path.trim_start_matches('/').split_once('/')?;
        (is_word(owner) && is_word(name) && (path.starts_with('/') == (repository.contains("://"))))
            .then(|| format!("{owner}/{name}").to_lowercase())
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with('.')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(url: &str) -> Place {
        Place { url: url.parse().unwrap(), api: "https://api.github.com".parse().unwrap() }
    }

    #[test]
    fn repositories_have_many_addresses() {
        let place = at("https://github.com");
        assert_eq!(place.address("acme/Orders"), "https://github.com/acme/Orders.git");
        for same in ["/srv/orders.git", "git@github.com:acme/orders.git", "https://github.com/acme/orders"] {
            assert_eq!(place.address(same), same);
        }
        for address in [
            "acme/Orders",
            "https://github.com/acme/orders",
            "https://github.com/Acme/orders.git",
            "https://me:token@github.com/acme/orders/",
            "git@github.com:acme/orders.git",
            "ssh://git@github.com/acme/orders.git",
        ] {
            assert_eq!(place.full_name(address).as_deref(), Some("acme/orders"), "{address}");
        }
        for other in [
            "/srv/git/orders.git",
            "/acme/orders",
            "./orders",
            "../acme/orders",
            "https://gitlab.com/acme/orders",
            "http://github.com/acme/orders",
            "https://github.com/acme",
            "https://github.com/acme/orders/pulls",
            "git@example.org:acme/orders.git",
            "orders",
        ] {
            assert_eq!(place.full_name(other), None, "{other}");
        }
        let enterprise = at("http://127.0.0.1:4000/");
        assert_eq!(enterprise.address("a/b"), "http://127.0.0.1:4000/a/b.git");
        assert_eq!(enterprise.full_name("http://127.0.0.1:4000/a/b.git").as_deref(), Some("a/b"));
        assert_eq!(enterprise.full_name("http://127.0.0.1:4001/a/b.git"), None);
    }
}

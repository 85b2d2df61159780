//! The repositories on the forge that a service can be connected to: those somebody can administer, looked through here, so that any
//! part of a name finds one and every page has the same size.
//!
//! Refuses to show what nobody asked as could see: the list is the person's, or else the server's own credential's.

use domain::{
    Role,
    view::{Candidate, Candidates},
};

use crate::{
    Actor, Control,
    error::Result,
    forge::ForgeError,
    store::{rows, services},
};

/// Repositories on a page.
const PAGE: usize = 20;

impl Control {
    /// A page of them, of those whose name or description has the words in `find`.
    pub async fn candidates(&self, actor: &Actor, find: &str, page: usize) -> Result<Candidates> {
        actor.must(Role::Owner)?;
        // What somebody sees on GitHub is theirs to see; who did not log in there sees what Seamless does.
        let person = self.forge_token_of(actor).await?;
        let forge = &self.ports.forge;
        let site = forge.site();
        let (mut all, more) = match forge.repositories(person.as_ref()).await {
            Ok(found) => found,
            Err(error) => {
                let problem = match error {
                    ForgeError::Limited { .. } => format!("{error}; it is asked again in a few minutes"),
                    error => error.to_string(),
                };
                return Ok(Candidates { site, problem: Some(problem), ..Candidates::default() });
            }
        };
        let of = all.len();
        let public_only = person.is_some() && all.iter().all(|listed| !listed.private);
        let words: Vec<String> = find.split_whitespace().map(str::to_lowercase).collect();
        all.retain(|r| {
            let text = format!("{} {}", r.full_name, r.description).to_lowercase();
            words.iter().all(|word| text.contains(word))
        });
        let (found, pages) = (all.len(), all.len().div_ceil(PAGE).max(1));
        let page = page.clamp(1, pages);
        let connected = services::all(self.store.read()).await?;
        let mut items = Vec::new();
        for listed in all.into_iter().skip((page - 1) * PAGE).take(PAGE) {
            let name = Some(listed.full_name.to_lowercase());
            let of_it = connected.iter().filter(|s| forge.full_name(&s.repository) == name);
            items.push(Candidate {
                services: of_it.map(rows::service_ref).collect::<Result<_>>()?,
                full_name: listed.full_name,
                private: listed.private,
                description: listed.description,
                default_branch: listed.default_branch,
                pushed_at: listed.pushed_at,
            });
        }
        Ok(Candidates { items, found, of, page, pages, more, public_only, site, problem: None })
    }
}

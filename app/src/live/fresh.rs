//! Keeps a region of a page that the server makes as it would make it now.
//!
//! Refuses to know what the region shows; it only listens whether anything happened that the page is about.

use domain::{ServiceId, live::LiveEvent};
use leptos::prelude::*;

use super::{Link, open};
use crate::components::Icon;

/// The id of the region.
pub const REGION: &str = "fresh";

/// Listens, brings the element with the id `fresh` up to date, and says when the connection is lost.
#[island]
pub fn Fresh(
    /// Where the stream goes on; from now on when the page does not know.
    #[prop(optional_no_strip)]
    cursor: Option<String>,
    /// Only what happens to this service.
    #[prop(optional_no_strip)]
    service: Option<ServiceId>,
) -> impl IntoView {
    let link = RwSignal::new(Link::Quiet);
    let ask = settled(renew_region);
    open("/live/overview".into(), cursor, link, move |event| {
        let ours = match (&event, service) {
            (LiveEvent::Run(run), Some(service)) => run.service.id == service,
            (LiveEvent::Run(_) | LiveEvent::Changed, _) => true,
            _ => false,
        };
        if ours {
            ask();
        }
    });
    view! { <Lost link/> }
}

/// Runs something once events have settled: many at once are one.
pub fn settled(run: impl Fn() + 'static) -> impl Fn() + 'static {
    let run = std::rc::Rc::new(run);
    let waiting = std::rc::Rc::new(std::cell::Cell::new(false));
    move || {
        if !waiting.replace(true) {
            let (run, waiting) = (std::rc::Rc::clone(&run), std::rc::Rc::clone(&waiting));
            set_timeout(
                move || {
                    waiting.set(false);
                    run();
                },
                std::time::Duration::from_millis(150),
            );
        }
    }
}

#[cfg(feature = "hydrate")]
fn renew_region() {
    leptos::task::spawn_local(super::fetch::renew(&[
        REGION,
        crate::components::WAITING,
        crate::components::NOTICES,
    ]));
}

#[cfg(not(feature = "hydrate"))]
fn renew_region() {}

/// Says that the connection is being restored, while it is.
#[component]
pub fn Lost(link: RwSignal<Link>) -> impl IntoView {
    move || {
        (link.get() == Link::Lost)
            .then(|| view! { <span class="lost" role="status"><Icon name="again"/>"Reconnecting"</span> })
    }
}

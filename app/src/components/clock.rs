//! Times that stay true while the page is open, and are the same on both sides when it is born.
//!
//! Refuses the browser's clock as a truth: it only adds what passed since the server said what time it is.

use domain::{Timestamp, time::in_words};
use leptos::prelude::*;

use crate::text::words;

/// The server's clock, as it goes on in the browser.
#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<Timestamp>,
    /// What the server said, and what the browser's clock said then.
    base: StoredValue<(Timestamp, f64)>,
}

impl Clock {
    /// Starts at the moment the page's data is from, for everything below.
    pub fn provide(now: Timestamp) -> Clock {
        let clock = Clock { now: RwSignal::new(now), base: StoredValue::new((now, browser_millis())) };
        provide_context(clock);
        Effect::new(move |_| {
            let step = move || {
                let (start, then) = clock.base.get_value();
                clock.now.set(start.plus((browser_millis() - then) as i64));
            };
            if let Ok(handle) = set_interval_with_handle(step, std::time::Duration::from_secs(1)) {
                on_cleanup(move || handle.clear());
            }
        });
        clock
    }

    /// The clock of the page, or one that stands still at the epoch where a page has none.
    pub fn expect() -> Clock {
        use_context().unwrap_or_else(|| Clock {
            now: RwSignal::new(Timestamp(0)),
            base: StoredValue::new((Timestamp(0), 0.0)),
        })
    }

    /// Fresh data says what time it is now.
    #[cfg(feature = "hydrate")]
    pub fn set(self, now: Timestamp) {
        self.base.set_value((now, browser_millis()));
        self.now.set(now);
    }

    /// The time.
    pub fn now(self) -> Timestamp {
        self.now.get()
    }
}

#[cfg(feature = "hydrate")]
fn browser_millis() -> f64 {
    js_sys::Date::now()
}

#[cfg(not(feature = "hydrate"))]
fn browser_millis() -> f64 {
    0.0
}

/// How long ago something was; the exact time on hover and focus.
#[component]
pub fn When(
    /// The moment.
    at: Timestamp,
    /// Without "ago", for narrow places.
    #[prop(optional)]
    short: bool,
) -> impl IntoView {
    let clock = Clock::expect();
    let words = move || if short { words::short(clock.now().since(at)) } else { words::ago(clock.now(), at) };
    view! { <time datetime=at.to_string() title=words::exact(at)>{words}</time> }
}

/// How long until something.
#[component]
pub fn Until(
    /// The moment.
    at: Timestamp,
) -> impl IntoView {
    let clock = Clock::expect();
    view! { <time datetime=at.to_string() title=words::exact(at)>{move || in_words(at.since(clock.now()))}</time> }
}

/// How long something took, or takes so far.
#[component]
pub fn Took(
    /// When it began.
    from: Timestamp,
    /// When it ended, if it did.
    to: Option<Timestamp>,
) -> impl IntoView {
    let clock = Clock::expect();
    view! { <span class="num">{move || in_words(to.unwrap_or_else(|| clock.now()).since(from))}</span> }
}

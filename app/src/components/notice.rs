//! Empty, loading, refused: states like any other, each with what it is and what to do.
//!
//! Refuse jargon: a status number is shown small, after the sentence.

use leptos::prelude::*;

use super::Icon;
use crate::api::ApiError;

/// What a form could not do, beside the form.
#[component]
pub fn Refused(
    /// The error, if there is one.
    error: Option<ApiError>,
) -> impl IntoView {
    error.map(|e| view! { <div role="alert" class="alerts"><p class="refused"><Icon name="warn"/><span>{e.message}</span></p></div> })
}

/// A page that could not be shown, and the way out.
#[component]
pub fn Failure(
    /// Why.
    error: ApiError,
) -> impl IntoView {
    let (title, remedy) = match error.status {
        400 => ("This address is not complete.", "Check it, or start from the overview."),
        401 | 403 => ("You may not see this.", "Ask whoever runs this server for a login link."),
        404 => ("This is not here.", "It may have been deleted, or the address is mistyped."),
        503 => ("The server is busy or away.", "Reload the page in a moment."),
        _ => ("Something went wrong.", "Reload the page; if it stays, the server's log says more."),
    };
    view! {
        <leptos_meta::Title text=title/>
        <section class="empty card" role="alert">
            <h1>{title}</h1>
            <p class="sub">{error.message}</p>
            <p class="dim">{remedy}</p>
            <p class="row"><a class="btn primary" href="/">"To the overview"</a><span class="dim num">{error.status}</span></p>
        </section>
    }
    .into_any()
}

/// A list with nothing in it: what will be here.
#[component]
pub fn Hint(
    /// In a few words.
    title: &'static str,
    /// What will be here, and what brings it.
    children: Children,
) -> impl IntoView {
    view! { <section class="empty card"><h2>{title}</h2>{children()}</section> }.into_any()
}

/// The size of a page before it is there.
#[component]
pub fn Loading() -> impl IntoView {
    view! {
        <div class="loading" role="status" aria-label="Loading">
            <i class="bone title"></i>
            <i class="bone card"></i>
            <i class="bone tall card"></i>
        </div>
    }
    .into_any()
}

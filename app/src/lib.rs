//! The dashboard: shell, pages, components and server functions, on both sides of the wire.
//!
//! The server makes every page whole, and forms are plain forms. What lives on in the browser are islands: the run page, the
//! overview, and [`live::Fresh`], which brings a region of a page up to date. Only they are in the WASM.
//!
//! Refuses to query, decide or check rights in views: server functions ask `control`, the server's middleware knows who asks.

#![recursion_limit = "256"]

pub mod api;
mod components;
pub mod form;
mod live;
mod pages;
#[cfg(feature = "ssr")]
mod shell;
pub mod text;
mod theme;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    SsrMode,
    components::{Outlet, ParentRoute, Route, Router, Routes},
    path,
};

#[cfg(feature = "ssr")]
pub use shell::{Elsewhere, MissingSite, Site, shell};

use components::Frame;
use pages::*;

/// The whole dashboard: every address and its page.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <leptos_meta::Title formatter=|text: String| if text.is_empty() { "Seamless".into() } else { format!("{text} · Seamless") }/>
        <Router>
            <Routes fallback=|| view! { <Frame><Missing/></Frame> }>
                <Route path=path!("/login") view=LoginPage ssr=SsrMode::Async/>
                <ParentRoute path=path!("") view=Framed ssr=SsrMode::Async>
                    <Route path=path!("") view=OverviewPage ssr=SsrMode::Async/>
                    <Route path=path!("runs") view=RunsPage ssr=SsrMode::Async/>
                    <Route path=path!("runs/:id") view=RunPage ssr=SsrMode::Async/>
                    <Route path=path!("approvals") view=ApprovalsPage ssr=SsrMode::Async/>
                    <Route path=path!("services/new") view=ConnectPage ssr=SsrMode::Async/>
                    <Route path=path!("services/new/ecs") view=NewOnEcsPage ssr=SsrMode::Async/>
                    <Route path=path!("services/:id") view=ServicePage ssr=SsrMode::Async/>
                    <Route path=path!("services/:id/settings") view=ServiceSettingsPage ssr=SsrMode::Async/>
                    <Route path=path!("deliveries") view=DeliveriesPage ssr=SsrMode::Async/>
                    <Route path=path!("settings") view=SettingsPage ssr=SsrMode::Async/>
                    <Route path=path!("settings/notifications") view=NotificationsPage ssr=SsrMode::Async/>
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// Every page but the login has the frame around it.
#[component]
fn Framed() -> impl IntoView {
    view! { <Frame><Outlet/></Frame> }
}

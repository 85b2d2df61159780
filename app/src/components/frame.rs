//! What is around every page: navigation, the way back, the search.
//!
//! Refuses to be needed: everything in it is a plain link or a plain form.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{Face, Icon};
use crate::api::{self, Nav};

/// The id of the count of approvals.
pub const WAITING: &str = "waiting";
/// The id of what strangers propose.
pub const STRANGERS: &str = "strangers";
/// The id of what people should know.
pub const NOTICES: &str = "notices";

/// Navigation and main part.
#[component]
pub fn Frame(
    /// The page.
    children: Children,
) -> impl IntoView {
    let nav = Resource::new(|| (), |()| api::nav());
    provide_context(Services(nav));
    let known = move || nav.get().and_then(Result::ok).unwrap_or_default();
    view! {
        <a class="jump" href="#main" rel="external">"Skip to the page"</a>
        <div class="app">
            <nav class="side" aria-label="Main">
                <a class="brand" href="/"><Icon name="mark"/><span>"Seamless"</span></a>
                <Place href="/" icon="board" name="Overview" exact=true/>
                <Place href="/runs" icon="runs" name="Runs"/>
                <Place href="/approvals" icon="pause" name="Approvals">
                    <span class="count" id=WAITING>
                        <Suspense fallback=|| ()>
                            {move || {
                                let waiting = known().approvals;
                                (waiting > 0)
                                    .then(|| {
                                        let more = if waiting >= 100 { "99+".to_owned() } else { waiting.to_string() };
                                        view! { <b>{more}<span class="vh">" waiting"</span></b> }
                                    })
                            }}
                        </Suspense>
                    </span>
                </Place>
                <Place href="/deliveries" icon="inbox" name="Deliveries"/>
                <Place href="/settings" icon="gear" name="Settings"/>
                <Suspense fallback=|| ()>
                    {move || {
                        let user = known().user;
                        (!user.is_empty())
                            .then(|| view! { <a class="me" href="/settings"><Face name=user.clone()/><span>{user}</span></a> })
                    }}
                </Suspense>
            </nav>
            <main class="page" id="main" tabindex="-1">
                <div class="alerts" id=NOTICES role="status">
                    <Suspense fallback=|| ()>
                        {move || known().notices.into_iter().map(|text| view! { <p class="notice"><Icon name="warn"/><span>{text}</span></p> }).collect_view()}
                    </Suspense>
                </div>
                {children()}
            </main>
        </div>
    }
    .into_any()
}

/// The services that can be jumped to.
#[derive(Clone, Copy)]
struct Services(Resource<Result<Nav, api::ApiError>>);

#[component]
fn Place(
    href: &'static str,
    icon: &'static str,
    name: &'static str,
    #[prop(optional)] exact: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let location = use_location();
    let here = move || {
        let path = location.pathname.get();
        let inside = match (exact, href) {
            (true, _) => path == href || path.starts_with("/services"),
            _ => path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        };
        inside.then_some("page")
    };
    view! {
        <a href=href aria-current=here>
            <Icon name=icon/>
            <span>{name}</span>
            {children.map(|c| c())}
        </a>
    }
    .into_any()
}

/// The line above a page's title: where one is, and the way to elsewhere.
#[component]
pub fn Top(
    /// Where one is.
    children: Children,
    /// Offer to connect a service.
    #[prop(optional)]
    connect: bool,
) -> impl IntoView {
    view! {
        <div class="top">
            <div class="crumbs">{children()}</div>
            <Search/>
            {connect.then(|| view! { <a class="btn primary" href="/services/new"><Icon name="plus"/>"Connect a service"</a> })}
        </div>
    }
    .into_any()
}

/// The way back, from the overview down.
#[component]
pub fn Crumbs(
    /// Address and name of each step above.
    steps: Vec<(String, String)>,
    /// The name of this page.
    #[prop(into)]
    here: String,
) -> impl IntoView {
    let steps = steps
        .into_iter()
        .map(|(href, name)| view! { <a href=href>{name}</a><i aria-hidden="true">"/"</i> })
        .collect_view();
    view! { <nav aria-label="Breadcrumb">{steps}<span aria-current="true">{here}</span></nav> }.into_any()
}

/// Finds runs of a service or commit: a plain form to the list of runs, with the services as suggestions.
#[component]
fn Search() -> impl IntoView {
    let services = use_context::<Services>();
    let options = move || {
        let names = services.and_then(|s| s.0.get()).and_then(Result::ok).unwrap_or_default().services;
        names.into_iter().map(|(_, name)| view! { <option value=name></option> }).collect_view()
    };
    view! {
        <form class="search" role="search" aria-label="Services" method="get" action="/runs">
            <Icon name="find"/>
            <input type="search" name="find" list="services" placeholder="Find a service" aria-label="Find a service" autocomplete="off"/>
            <datalist id="services"><Suspense fallback=|| ()>{options}</Suspense></datalist>
        </form>
    }
    .into_any()
}

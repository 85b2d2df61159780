//! The connection itself: the browser's own `EventSource`, which reconnects with `Last-Event-ID` by itself.
//!
//! Refuses to panic over a message it cannot read: an older page may meet a newer server.

use leptos::prelude::*;

#[cfg(feature = "hydrate")]
use domain::live::LiveEvent;

/// How the stream is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
// A server never connects, so it only ever sees the first.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
pub enum Link {
    /// Not asked for, or it ended because nothing more will come.
    #[default]
    Quiet,
    /// Events arrive.
    Live,
    /// The connection was lost; it is being tried again.
    Lost,
}

/// Opens the stream `path` after `cursor` once the page is awake, and closes it when the page goes.
///
/// A lost connection is the browser's to restore. An answer that is no stream (a proxy's error page) makes it give up;
/// then a new one is opened after the last event that was seen. A page that nobody sees closes its stream and goes on from there when
/// it is seen again: browsers allow few connections to one server, and tabs are many.
#[cfg(feature = "hydrate")]
pub fn open(path: String, cursor: Option<String>, link: RwSignal<Link>, fold: impl Fn(LiveEvent) + 'static) {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
        time::Duration,
    };
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use web_sys::{EventSource, MessageEvent};

    let fold = Rc::new(fold);
    let last = Rc::new(RefCell::new(cursor));
    let over = Rc::new(Cell::new(false));
    let again = Trigger::new();
    Effect::new(move |_| {
        again.track();
        let after = last.borrow().as_ref().map(|c| format!("?after={c}")).unwrap_or_default();
        let Ok(source) = EventSource::new(&format!("{path}{after}")) else { return };
        // Signals may be gone when a last event arrives; everything here asks before it sets.
        let alive = Rc::new(RefCell::new(true));
        let mut kept = Vec::new();
        let mut listen = |name: &'static str, handler: Box<dyn Fn(JsValue)>| {
            let closure = Closure::<dyn Fn(JsValue)>::new(handler);
            let _ = source.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
            kept.push(closure);
        };
        for name in ["run", "stage", "log", "changed"] {
            let (fold, alive, last) = (Rc::clone(&fold), Rc::clone(&alive), Rc::clone(&last));
            let handler = move |event: JsValue| {
                let Some(message) = event.dyn_ref::<MessageEvent>().filter(|_| *alive.borrow()) else {
                    return;
                };
                let text = message.data().as_string().unwrap_or_default();
                let id = message.last_event_id();
                if !id.is_empty() {
                    *last.borrow_mut() = Some(id);
                }
                let event = match name {
                    "run" => serde_json::from_str(&text).map(LiveEvent::Run),
                    "stage" => serde_json::from_str(&text).map(LiveEvent::Stage),
                    "changed" => Ok(LiveEvent::Changed),
                    _ => serde_json::from_str(&text).map(LiveEvent::Log),
                };
                if let Ok(event) = event {
                    fold(event);
                }
            };
            listen(name, Box::new(handler));
        }
        let (ended, end_fold, end_alive) = (source.clone(), Rc::clone(&fold), Rc::clone(&alive));
        let end_over = Rc::clone(&over);
        listen(
            "end",
            Box::new(move |_| {
                ended.close();
                end_over.set(true);
                let _ = link.try_set(Link::Quiet);
                if *end_alive.borrow() {
                    end_fold(LiveEvent::End);
                }
            }),
        );
        let opened = move |_| {
            let _ = link.try_set(Link::Live);
        };
        listen("open", Box::new(opened));
        let lost = source.clone();
        listen(
            "error",
            Box::new(move |_| {
                let _ = link.try_set(Link::Lost);
                if lost.ready_state() == EventSource::CLOSED {
                    set_timeout(move || again.notify(), Duration::from_secs(3));
                }
            }),
        );
        let (seen, seen_over) = (source.clone(), Rc::clone(&over));
        let look = Closure::<dyn Fn()>::new(move || match (document().hidden(), seen_over.get()) {
            (_, true) => {}
            (true, _) => seen.close(),
            (false, _) if seen.ready_state() == EventSource::CLOSED => again.notify(),
            _ => {}
        });
        let _ =
            document().add_event_listener_with_callback("visibilitychange", look.as_ref().unchecked_ref());
        let parts = StoredValue::new_local((source, kept, alive, look));
        on_cleanup(move || {
            let _ = parts.try_with_value(|(source, _, alive, look)| {
                *alive.borrow_mut() = false;
                source.close();
                let look = look.as_ref().unchecked_ref();
                let _ = document().remove_event_listener_with_callback("visibilitychange", look);
            });
        });
    });
}

/// On the server there is nothing to follow: the page is made from what is there.
#[cfg(not(feature = "hydrate"))]
pub fn open(
    _path: String,
    _cursor: Option<String>,
    _link: RwSignal<Link>,
    _fold: impl Fn(domain::live::LiveEvent) + 'static,
) {
}

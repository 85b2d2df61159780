//! Asking the server again: a server function's answer as data, or the page's own HTML.
//!
//! Refuses the general client of server functions: it would bring a second JSON reader for every type into the WASM.
#![cfg(feature = "hydrate")]

use leptos::prelude::*;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DomParser, Request, RequestInit, Response, SupportedType};

use crate::api::ApiError;

async fn text(address: &str, form: Option<&str>) -> Result<(bool, String), JsValue> {
    let options = RequestInit::new();
    if let Some(form) = form {
        options.set_method("POST");
        options.set_body(&JsValue::from_str(form));
    }
    let request = Request::new_with_str_and_init(address, &options)?;
    if form.is_some() {
        request.headers().set("content-type", "application/x-www-form-urlencoded")?;
        request.headers().set("accept", "application/json")?;
    }
    let response: Response = JsFuture::from(window().fetch_with_request(&request)).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    Ok((response.ok(), text))
}

/// What a server function answers to some arguments, written as a form; else why not, in words.
pub async fn answer<T: DeserializeOwned>(path: &str, form: &str) -> Result<T, String> {
    let away = || "The server does not answer just now".to_owned();
    match text(path, Some(form)).await {
        Ok((true, body)) => serde_json::from_str(&body).map_err(|_| away()),
        Ok((false, body)) => {
            Err(serde_json::from_str::<ApiError>(&body).map_or_else(|_| away(), |error| error.message))
        }
        Err(_) => Err(away()),
    }
}

/// What a server function answers to some arguments, written as a form; nothing when it cannot be had just now.
pub async fn function<T: DeserializeOwned>(path: &str, form: &str) -> Option<T> {
    answer(path, form).await.ok()
}

/// Brings elements of this page up to date, by their ids, from what the server would send for it now.
///
/// An element in which somebody is typing, or has unfolded something, is left alone.
pub async fn renew(ids: &[&str]) {
    let Ok(address) = window().location().href() else { return };
    let Ok((true, html)) = text(&address, None).await else { return };
    let Ok(page) = DomParser::new().and_then(|p| p.parse_from_string(&html, SupportedType::TextHtml)) else {
        return;
    };
    for id in ids {
        let (Some(old), Some(new)) = (document().get_element_by_id(id), page.get_element_by_id(id)) else {
            continue;
        };
        let typing = document()
            .active_element()
            .is_some_and(|a| old.contains(Some(&a)) && a.matches("input, textarea").unwrap_or(false));
        let unfolded = old.query_selector("details[open]").is_ok_and(|found| found.is_some());
        if !typing && !unfolded && old.inner_html() != new.inner_html() {
            old.set_inner_html(&new.inner_html());
        }
    }
}

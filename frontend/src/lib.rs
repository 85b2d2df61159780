//! The browser's entry: makes the islands of the page that the server has rendered ready to live, and nothing else.

// The islands are functions of this crate; naming it keeps them in the WASM.
use app as _;

/// Called once by the page's script.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}

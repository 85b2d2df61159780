//! One field of the form, asked for in a line: its label, its name, what it holds, and what is worth saying about it.
//!
//! Refuses to know any field by name; the sections do.

use std::collections::BTreeMap;

use domain::view::Proposal;
use leptos::prelude::*;

use crate::{
    api::ApiError,
    components::{Area, Check, Input},
};

/// Why each field was proposed, by its path.
#[derive(Clone, Default)]
pub struct Why(BTreeMap<String, String>);

impl Why {
    /// From what detection said.
    pub fn new(proposals: Vec<Proposal>) -> Self {
        Self(proposals.into_iter().map(|p| (p.field, p.why)).collect())
    }
}

/// What every field is asked with: the reasons of detection and the errors of the server.
pub struct Ask {
    /// Why each was proposed.
    pub why: Why,
    /// What is wrong.
    pub wrong: Option<ApiError>,
}

impl Ask {
    /// A field of one line. Its path in the settings is its name, unless another one is given.
    pub fn line(&self, label: &'static str, name: impl Into<String>, value: &str) -> Field<'_> {
        let name = name.into();
        Field {
            ask: self,
            label,
            path: name.clone(),
            name,
            value: value.to_owned(),
            hint: String::new(),
            placeholder: "",
            code: false,
            required: false,
            known: Vec::new(),
            rows: None,
        }
    }

    /// A field of several lines, set in the fixed-width face.
    pub fn lines(&self, label: &'static str, name: impl Into<String>, value: &str) -> Field<'_> {
        Field { rows: Some(1), ..self.line(label, name, value) }
    }

    /// Why detection proposes a setting, or else a word of help.
    pub fn reason(&self, path: &str, hint: &str) -> String {
        self.why.0.get(path).map_or_else(|| hint.to_owned(), |why| format!("Proposed: {why}"))
    }

    /// Whether something is wrong with any of these settings or what is below them.
    pub fn any_wrong(&self, paths: &[&str]) -> bool {
        self.wrong.as_ref().is_some_and(|wrong| paths.iter().any(|path| wrong.of(path).is_some()))
    }
}

/// A field on its way to the page.
pub struct Field<'a> {
    ask: &'a Ask,
    label: &'static str,
    name: String,
    path: String,
    value: String,
    hint: String,
    placeholder: &'static str,
    code: bool,
    required: bool,
    known: Vec<(String, String)>,
    rows: Option<usize>,
}

impl Field<'_> {
    /// Its path in the settings, for reasons and errors.
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// A word of help, where detection has no reason to tell.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// What an empty one shows.
    pub fn empty(self, placeholder: &'static str) -> Self {
        Self { placeholder, ..self }
    }

    /// Set in the fixed-width face.
    pub fn code(self) -> Self {
        Self { code: true, ..self }
    }

    /// Must be filled.
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Proposes values, each with a word of what it is.
    pub fn known(self, known: Vec<(String, String)>) -> Self {
        Self { known, ..self }
    }

    /// As high as this at least.
    pub fn rows(self, rows: usize) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// The field itself.
    pub fn show(self) -> AnyView {
        let Self { ask, label, name, path, value, hint, placeholder, code, required, known, rows } = self;
        let name = posted(&name);
        let hint = ask.reason(&path, &hint);
        let wrong = ask.wrong.clone();
        match rows {
            None => {
                view! { <Input label name path value hint placeholder code required known wrong/> }.into_any()
            }
            Some(rows) => view! { <Area label name path value hint placeholder rows wrong/> }.into_any(),
        }
    }
}

/// The name by which a browser posts a field of the form: `containers.port` is `form[containers][port]`.
pub fn posted(name: &str) -> String {
    format!("form[{}]", name.replace('.', "]["))
}

/// Fields side by side where there is room.
pub fn pairs<'a>(fields: impl IntoIterator<Item = Field<'a>>) -> AnyView {
    let fields = fields.into_iter().map(Field::show).collect_view();
    view! { <div class="fields two">{fields}</div> }.into_any()
}

/// A box to tick.
pub fn tick(label: &'static str, name: &str, on: &Option<String>, hint: &str) -> AnyView {
    let hint = hint.to_owned();
    view! { <Check label name=posted(name) on=on.is_some() hint/> }.into_any()
}

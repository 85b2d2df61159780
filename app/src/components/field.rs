//! Form fields: a label, the control, a hint, and what is wrong with it, tied together for every kind of reader.
//!
//! Refuse to validate: the server does, and its words appear here.

use leptos::prelude::*;

/// What is wrong with a form.
pub type Wrong = Option<crate::api::ApiError>;

fn message(wrong: &Wrong, path: &str) -> Option<String> {
    wrong.as_ref().and_then(|e| e.of(path))
}

fn id_of(name: &str) -> String {
    name.replace(['[', ']'], "-").trim_end_matches('-').to_owned()
}

#[component]
fn Note(id: String, hint: String, says: Option<String>) -> impl IntoView {
    view! {
        <span class="note" id=format!("{id}-note")>
            {match says {
                Some(text) => view! { <span class="wrong"><super::Icon name="warn"/>{text}</span> }.into_any(),
                None => hint.into_any(),
            }}
        </span>
    }
    .into_any()
}

/// One line of text.
#[component]
pub fn Input(
    /// Its label.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Its path in the settings, for errors.
    #[prop(into)]
    path: String,
    /// What it holds at first.
    #[prop(into)]
    value: String,
    /// A word of help.
    #[prop(into, optional)]
    hint: String,
    /// What an empty one shows.
    #[prop(optional)]
    placeholder: &'static str,
    /// Set in the fixed-width face.
    #[prop(optional)]
    code: bool,
    /// Whether it must be filled.
    #[prop(optional)]
    required: bool,
    /// Values that are known already, each with a word of what it is: proposed, not required.
    #[prop(optional)]
    known: Vec<(String, String)>,
    /// Where errors come from.
    wrong: Wrong,
) -> impl IntoView {
    let id = id_of(&name);
    let says = message(&wrong, &path);
    let list = format!("{id}-known");
    let proposed = (!known.is_empty()).then(|| {
        let options = known.into_iter().map(|(value, what)| view! { <option value=value>{what}</option> });
        view! { <datalist id=list.clone()>{options.collect_view()}</datalist> }
    });
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                list=proposed.is_some().then_some(list)
                id=id.clone()
                name=name
                class:code=code
                value=value
                placeholder=placeholder
                required=required
                autocomplete="off"
                spellcheck="false"
                autocapitalize="off"
                aria-describedby=format!("{id}-note")
                aria-invalid=says.as_ref().map(|_| "true")
            />
            {proposed}
            <Note id hint says/>
        </div>
    }
    .into_any()
}

/// Several lines of text.
#[component]
pub fn Area(
    /// Its label.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Its path in the settings, for errors.
    #[prop(into)]
    path: String,
    /// What it holds at first.
    #[prop(into)]
    value: String,
    /// A word of help.
    #[prop(into, optional)]
    hint: String,
    /// What an empty one shows.
    #[prop(optional)]
    placeholder: &'static str,
    /// How high it is at least.
    #[prop(default = 1)]
    rows: usize,
    /// Where errors come from.
    wrong: Wrong,
) -> impl IntoView {
    let id = id_of(&name);
    let says = message(&wrong, &path);
    let rows = value.lines().count().clamp(rows, 12).to_string();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <textarea
                id=id.clone()
                name=name
                class="code"
                rows=rows
                placeholder=placeholder
                autocomplete="off"
                spellcheck="false"
                autocapitalize="off"
                aria-describedby=format!("{id}-note")
                aria-invalid=says.as_ref().map(|_| "true")
            >
                {value}
            </textarea>
            <Note id hint says/>
        </div>
    }
    .into_any()
}

/// On or off.
#[component]
pub fn Check(
    /// Its label.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Whether it is on at first.
    on: bool,
    /// A word of help.
    #[prop(into, optional)]
    hint: String,
) -> impl IntoView {
    let id = id_of(&name);
    view! {
        <div class="check">
            <input type="checkbox" id=id.clone() name=name checked=on aria-describedby=format!("{id}-note")/>
            <label for=id.clone()>{label}</label>
            <span class="note" id=format!("{id}-note")>{hint}</span>
        </div>
    }
    .into_any()
}

/// One of a few, all of them in sight.
#[component]
pub fn Choice(
    /// What is chosen.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Its path in the settings, for errors.
    path: &'static str,
    /// What is chosen at first.
    #[prop(into)]
    value: String,
    /// Value, label and a word of help of each.
    options: Vec<(&'static str, &'static str, String)>,
    /// Where errors come from.
    wrong: Wrong,
) -> impl IntoView {
    let id = id_of(&name);
    let says = message(&wrong, path);
    let bad = says.as_ref().map(|_| "true");
    let head = format!("{id}-label");
    let described = says.is_some().then(|| format!("{id}-note"));
    let note = says.map(|says| view! { <Note id=id.clone() hint=String::new() says=Some(says)/> });
    let labelled = head.clone();
    let options = options
        .into_iter()
        .map(|(of, label, hint)| {
            let one = format!("{id}-{of}");
            view! {
                <div class="check">
                    <input type="radio" id=one.clone() name=name.clone() value=of checked=of == value aria-describedby=format!("{one}-note")/>
                    <label for=one.clone()>{label}</label>
                    <span class="note" id=format!("{one}-note")>{hint}</span>
                </div>
            }
        })
        .collect_view();
    view! {
        <div class="field choice" role="radiogroup" aria-labelledby=labelled aria-describedby=described aria-invalid=bad>
            <span class="label" id=head>{label}</span>
            {options}
            {note}
        </div>
    }
    .into_any()
}

/// One of a few that are known beforehand, in a list that opens.
#[component]
pub fn Select(
    /// Its label.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Its path in the settings, for errors.
    #[prop(into)]
    path: String,
    /// What is chosen at first.
    #[prop(into)]
    value: String,
    /// Value and label of each.
    options: Vec<(&'static str, &'static str)>,
    /// A word of help.
    #[prop(into, optional)]
    hint: String,
    /// Where errors come from.
    wrong: Wrong,
) -> impl IntoView {
    let options = options.into_iter().map(|(of, label)| (of.to_owned(), label.to_owned())).collect();
    Pick(PickProps { label, name, path, value, options, hint, wrong })
}

/// One of those there are, in a list that opens.
#[component]
pub fn Pick(
    /// Its label.
    label: &'static str,
    /// Its name in the form.
    #[prop(into)]
    name: String,
    /// Its path in the settings, for errors.
    #[prop(into)]
    path: String,
    /// What is chosen at first.
    #[prop(into)]
    value: String,
    /// Value and label of each.
    options: Vec<(String, String)>,
    /// A word of help.
    #[prop(into, optional)]
    hint: String,
    /// Where errors come from.
    wrong: Wrong,
) -> impl IntoView {
    let id = id_of(&name);
    let says = message(&wrong, &path);
    let options = options
        .into_iter()
        .map(|(of, label)| view! { <option value=of.clone() selected=of == value>{label}</option> })
        .collect_view();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id.clone() name=name aria-describedby=format!("{id}-note") aria-invalid=says.as_ref().map(|_| "true")>
                {options}
            </select>
            <Note id hint says/>
        </div>
    }
    .into_any()
}

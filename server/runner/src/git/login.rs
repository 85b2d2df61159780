//! How Git gets a password: from a credential helper that is one line of shell and lives in the environment of that one call.
//!
//! The helper is bound to one host by Git itself, so that a submodule elsewhere is not told; the machine's own helpers are left out, so
//! that none of them keeps what is not meant to be kept. Nothing is written anywhere: no argument, address or file holds the password.

use domain::protocol::GitLogin;

const USERNAME: &str = "SEAMLESS_GIT_USERNAME";
const PASSWORD: &str = "SEAMLESS_GIT_PASSWORD";
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$SEAMLESS_GIT_USERNAME" "$SEAMLESS_GIT_PASSWORD"; }; f"#;

/// Names and values.
type Pairs<N> = [(N, String); 2];

/// The settings of Git, and the environment they need.
pub fn login_settings(login: &GitLogin) -> (Pairs<String>, Pairs<&'static str>) {
    let settings = [
        ("credential.helper".to_owned(), String::new()),
        (format!("credential.{}.helper", login.site), HELPER.to_owned()),
    ];
    (settings, [(USERNAME, login.username.clone()), (PASSWORD, login.password.clone())])
}

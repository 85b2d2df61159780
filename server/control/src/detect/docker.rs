//! What a Dockerfile declares: a port, a health check. For a repository that has nothing else, it is all there is.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

const NAMES: [&str; 3] = ["Dockerfile", "docker/Dockerfile", "Containerfile"];

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&NAMES).map(str::to_owned)
}

/// For a repository with a Dockerfile alone.
pub fn propose(folder: &Folder, draft: &mut Draft) {
    let started = folder.first_of(&NAMES).and_then(|path| folder.text(path)).and_then(|text| {
        let lines = instructions(text);
        let last =
            |word: &str| lines.iter().rev().find(|(name, _)| name == word).map(|(_, rest)| rest.clone());
        last("ENTRYPOINT").or_else(|| last("CMD"))
    });
    let ran = started.map(|command| format!(" (in its image it is {command})")).unwrap_or_default();
    draft.no_command(
        Slot::Start,
        format!("only a Dockerfile is there, and a service runs here as a process: give the command that starts it{ran}"),
    );
}

/// Port, health path and the Dockerfile itself, whatever the runtime is.
pub fn hints(folder: &Folder, draft: &mut Draft) {
    let Some(path) = folder.first_of(&NAMES) else { return };
    let whole = folder.absolute(path);
    draft.dockerfile(&whole, format!("{whole} is there; it is used where services run as containers"));
    let Some(text) = folder.text(path) else { return };
    for (name, rest) in instructions(text) {
        if name == "EXPOSE" {
            let port =
                rest.split_whitespace().next().and_then(|first| first.split('/').next()?.parse::<u16>().ok());
            if let Some(port) = port.filter(|port| *port >= 1024) {
                draft.port(port, format!("{whole} exposes it"));
            }
        } else if name == "HEALTHCHECK"
            && let Some(asked) = url_path(&rest)
        {
            draft.health_path(&asked, format!("the HEALTHCHECK of {whole} asks for it"));
        }
    }
}

/// Instructions with their arguments, continued lines joined, comments left out.
fn instructions(text: &str) -> Vec<(String, String)> {
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = kept.join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(char::is_whitespace)?;
        Some((name.to_ascii_uppercase(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
    });
    lines.collect()
}

/// The path of the first http address in a text.
fn url_path(text: &str) -> Option<String> {
    let (_, after) = text.split_once("http://").or_else(|| text.split_once("https://"))?;
    let address: String = after
        .chars()
        .take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | ']' | ',' | ')'))
        .collect();
    let path = format!("/{}", address.split_once('/').map_or("", |(_, path)| path));
    Some(path.split(['?', '#', '|', '&', ';']).next().unwrap_or("/").to_owned())
}

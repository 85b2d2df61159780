//! .NET: C# and F#.

use super::{
    draft::{Draft, Slot},
    folder::{self, Folder},
};

fn is_project(path: &str) -> bool {
    path.ends_with(".csproj") || path.ends_with(".fsproj")
}

pub fn marker(folder: &Folder) -> Option<String> {
    let solution =
        folder.find(|path| !path.contains('/') && (path.ends_with(".sln") || path.ends_with(".slnx")));
    solution.or_else(|| folder.find(|path| !path.contains('/') && is_project(path))).map(str::to_owned)
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    draft.command(Slot::Prepare, "dotnet restore", "it comes with .NET");
    draft.command(Slot::CodeQuality, "dotnet format --verify-no-changes --no-restore", "it comes with .NET");
    let projects = folder.all(is_project);
    let is_test = |path: &&str| match folder.text(path) {
        Some(text) => text.contains("Microsoft.NET.Test.Sdk"),
        None => folder::base(path).contains("Test"),
    };
    match projects.iter().find(|path| is_test(path)) {
        Some(path) => {
            draft.command(Slot::UnitTest, "dotnet test --no-restore", format!("{path} is a project of tests"))
        }
        None => draft.no_command(Slot::UnitTest, "no project of tests was found"),
    }
    let services: Vec<&&str> = projects.iter().filter(|path| !is_test(path)).collect();
    let is_web = |path: &&&&str| folder.text(path).is_some_and(|text| text.contains("Microsoft.NET.Sdk.Web"));
    let Some(path) = services.iter().find(is_web).or(services.first()) else { return };
    let web = folder.text(path).is_some_and(|text| text.contains("Microsoft.NET.Sdk.Web"));
    let others: Vec<&str> =
        services.iter().filter(|other| *other != path && is_web(other)).map(|other| **other).collect();
    let besides =
        if others.is_empty() { String::new() } else { format!("; there is also {}", others.join(", ")) };
    let why = if web { "a web project" } else { "the first project that is not one of tests" };
    draft.command(
        Slot::Build,
        format!("dotnet publish {path} -c Release -o out"),
        format!("{path} is {why}{besides}"),
    );
    let stem = folder::base(path).rsplit_once('.').map_or("", |(stem, _)| stem);
    let assembly = folder
        .text(path)
        .and_then(|text| text.split_once("<AssemblyName>")?.1.split_once("</AssemblyName>"))
        .map_or(stem, |(name, _)| name.trim());
    let port = if web { " --urls http://127.0.0.1:$PORT" } else { "" };
    draft.command(
        Slot::Start,
        format!("exec dotnet out/{assembly}.dll{port}"),
        "it is what the build publishes",
    );
}

//! Go, with modules.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&["go.mod"]).map(str::to_owned)
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    if folder.has("go.sum") {
        draft.command(Slot::Prepare, "go mod download", "go.sum is there, so its modules are brought in");
    } else {
        draft.no_command(Slot::Prepare, "there is no go.sum, so there is nothing to bring in");
    }
    match folder.first_of(&[".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json"]) {
        Some(file) => draft.command(
            Slot::CodeQuality,
            "golangci-lint run",
            format!("{file} is there; golangci-lint must be on this machine"),
        ),
        None => draft.command(Slot::CodeQuality, "go vet ./...", "it comes with Go"),
    }
    draft.command(Slot::UnitTest, "go test ./...", "it comes with Go");
    let tagged =
        folder.find(|path| path.ends_with("_test.go") && path.split('/').any(|part| part == "integration"));
    if let Some(package) = tagged.and_then(|path| path.rsplit_once('/')).map(|(package, _)| package) {
        draft.command(
            Slot::IntegrationTest,
            format!("go test -count=1 ./{package}/..."),
            format!("{package} holds tests; take it out of the unit tests if they need the running service"),
        );
    }

    let mut mains: Vec<&str> =
        folder.all(|path| path.ends_with("/main.go") && path.matches('/').count() <= 2);
    if folder.has("main.go") {
        mains.insert(0, "main.go");
    }
    let likely = |path: &&&str| {
        let parent = path.rsplit('/').nth(1).unwrap_or_default();
        parent == folder.name() || matches!(parent, "server" | "api" | "app")
    };
    let Some(main) =
        mains.iter().find(|path| **path == "main.go").or_else(|| mains.iter().find(likely)).or(mains.first())
    else {
        draft.no_command(Slot::Build, "no main.go was found at the top, in cmd/ or one folder down");
        return;
    };
    let package = main.rsplit_once('/').map_or(".".to_owned(), |(parent, _)| format!("./{parent}"));
    let others: Vec<&str> = mains.iter().filter(|path| *path != main).copied().collect();
    let besides =
        if others.is_empty() { String::new() } else { format!("; there is also {}", others.join(", ")) };
    let binary = format!("bin/{}", folder.name());
    draft.command(
        Slot::Build,
        format!("go build -o {binary} {package}"),
        format!("{main} is there{besides}"),
    );
    draft.command(Slot::Start, format!("exec {binary}"), "it is what the build makes");
}

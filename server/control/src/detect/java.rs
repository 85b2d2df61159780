//! Java and Kotlin, with Maven or Gradle; the project's own wrapper goes before what the machine has.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

const GRADLE: [&str; 2] = ["build.gradle.kts", "build.gradle"];

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&["pom.xml", GRADLE[0], GRADLE[1]]).map(str::to_owned)
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    if folder.has("pom.xml") { maven(folder, draft) } else { gradle(folder, draft) }
}

/// Says which program builds, and why that one.
fn tool(folder: &Folder, wrapper: &'static str, program: &'static str) -> (String, String) {
    if folder.has(wrapper) {
        (format!("./{wrapper}"), format!("{wrapper} is there, so the version that the project names"))
    } else {
        (program.to_owned(), format!("there is no {wrapper}, so {program} must be on this machine"))
    }
}

fn maven(folder: &Folder, draft: &mut Draft) {
    let pom = folder.text("pom.xml").unwrap_or_default();
    let (mvn, why) = tool(folder, "mvnw", "mvn");
    draft.command(Slot::Prepare, format!("{mvn} -B -q dependency:go-offline"), why);
    if pom.contains("spotless-maven-plugin") {
        draft.command(
            Slot::CodeQuality,
            format!("{mvn} -B -q spotless:check"),
            "pom.xml has the plugin spotless",
        );
    } else if pom.contains("maven-checkstyle-plugin") {
        draft.command(
            Slot::CodeQuality,
            format!("{mvn} -B -q checkstyle:check"),
            "pom.xml has the plugin checkstyle",
        );
    } else {
        draft.no_command(Slot::CodeQuality, "pom.xml has neither spotless nor checkstyle");
    }
    draft.command(Slot::UnitTest, format!("{mvn} -B test"), "it is Maven's phase for tests");
    draft.command(
        Slot::Build,
        format!("{mvn} -B -DskipTests package"),
        "it is Maven's phase for the jar; the tests ran before",
    );
    let own = own_part(pom);
    let jar = element(pom, "finalName")
        .filter(|name| !name.contains('$'))
        .map(|name| format!("target/{name}.jar"))
        .or_else(|| {
            let (artifact, version) = (element(&own, "artifactId")?, element(&own, "version")?);
            (!version.contains('$')).then(|| format!("target/{artifact}-{version}.jar"))
        });
    let (jar, why) = match jar {
        Some(jar) => (jar, "pom.xml gives the jar this name".to_owned()),
        None => ("target/*.jar".to_owned(), "pom.xml does not tell the jar's whole name".to_owned()),
    };
    run_jar(&jar, pom, why, draft);
}

fn gradle(folder: &Folder, draft: &mut Draft) {
    let build = folder.first_of(&GRADLE).and_then(|file| folder.text(file)).unwrap_or_default();
    let settings = ["settings.gradle.kts", "settings.gradle"]
        .iter()
        .find_map(|file| folder.text(file))
        .unwrap_or_default();
    let (gradle, why) = tool(folder, "gradlew", "gradle");
    // A daemon would outlive the stage that started it.
    let gradle = format!("{gradle} --no-daemon");
    draft.command(Slot::Prepare, format!("{gradle} -q dependencies"), why);
    if let Some(plugin) =
        ["spotless", "checkstyle", "detekt", "ktlint"].into_iter().find(|plugin| build.contains(plugin))
    {
        draft.command(
            Slot::CodeQuality,
            format!("{gradle} check -x test"),
            format!("the build has the plugin {plugin}"),
        );
    } else {
        draft.no_command(Slot::CodeQuality, "the build has none of spotless, checkstyle, detekt and ktlint");
    }
    draft.command(Slot::UnitTest, format!("{gradle} test"), "it is Gradle's task for tests");
    let name = setting(settings, "rootProject.name").unwrap_or_else(|| folder.name().to_owned());
    let spring = build.contains("org.springframework.boot");
    if !spring && (build.contains("application") && build.contains("mainClass")) {
        draft.command(Slot::Build, format!("{gradle} installDist"), "the build has the plugin application");
        draft.command(
            Slot::Start,
            format!("exec build/install/{name}/bin/{name}"),
            "it is what installDist makes",
        );
        return;
    }
    let task = if spring { "bootJar" } else { "assemble" };
    draft.command(Slot::Build, format!("{gradle} {task}"), "it makes the jar; the tests ran before");
    let (jar, why) = match setting(build, "version") {
        Some(version) => (
            format!("build/libs/{name}-{version}.jar"),
            "name and version of the project give the jar this name",
        ),
        None => (format!("build/libs/{name}.jar"), "the project's name gives the jar this name"),
    };
    run_jar(&jar, build, why.to_owned(), draft);
}

fn run_jar(jar: &str, build: &str, why: String, draft: &mut Draft) {
    if build.contains("spring-boot") || build.contains("org.springframework.boot") {
        draft.command(
            Slot::Start,
            format!("exec java -jar {jar} --server.port=$PORT"),
            format!("{why}, and Spring Boot takes its port so"),
        );
        if build.contains("spring-boot-starter-actuator") {
            draft.health_path("/actuator/health", "Spring Boot's actuator is among the packages");
        }
    } else if build.contains("io.quarkus") {
        draft.command(
            Slot::Start,
            "exec java -Dquarkus.http.port=$PORT -jar target/quarkus-app/quarkus-run.jar",
            "Quarkus is among the packages",
        );
        if build.contains("quarkus-smallrye-health") {
            draft.health_path("/q/health", "Quarkus' health extension is among the packages");
        }
    } else {
        draft.command(Slot::Start, format!("exec java -jar {jar}"), why);
    }
}

/// The part of a pom that speaks of the project itself.
fn own_part(pom: &str) -> String {
    let mut own = pom.to_owned();
    for block in ["parent", "dependencies", "dependencyManagement", "build", "profiles", "properties"] {
        while let Some(from) = own.find(&format!("<{block}>")) {
            let close = format!("</{block}>");
            let Some(to) = own[from..].find(&close) else { break };
            own.replace_range(from..from + to + close.len(), "");
        }
    }
    own
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>")).map(|(text, _)| text.trim()).filter(|text| !text.is_empty())
}

/// `name = "value"` or `name 'value'` at the beginning of a line.
fn setting(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?;
        let rest = rest.trim_start().trim_start_matches('=').trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(value, _)| value.to_owned()).filter(|value| !value.contains('$'))
    })
}

//! Go, Rust, Java, .NET, and what any of them may have: a Makefile, a Dockerfile.

use super::said;

#[test]
fn go_with_several_binaries() {
    let files = [
        ("go.mod", "module x"),
        ("go.sum", ""),
        ("cmd/migrate/main.go", ""),
        ("cmd/orders/main.go", "http.HandleFunc(\"/healthz\", h)"),
        (".golangci.yml", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: go [go.mod is there]
    commands.prepare: go mod download [go.sum is there, so its modules are brought in]
    commands.code_quality: golangci-lint run [.golangci.yml is there; golangci-lint must be on this machine]
    commands.unit_test: go test ./... [it comes with Go]
    commands.build: go build -o bin/orders ./cmd/orders [cmd/orders/main.go is there; there is also cmd/migrate/main.go]
    commands.start: exec bin/orders [it is what the build makes]
    health_path: /healthz ["/healthz" stands in cmd/orders/main.go]
    "##);
}

#[test]
fn go_with_nothing_else() {
    let files = [("go.mod", "module x"), ("main.go", "")];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: go [go.mod is there]
    commands.prepare:  [there is no go.sum, so there is nothing to bring in]
    commands.code_quality: go vet ./... [it comes with Go]
    commands.unit_test: go test ./... [it comes with Go]
    commands.build: go build -o bin/orders . [main.go is there]
    commands.start: exec bin/orders [it is what the build makes]
    "##);
}

#[test]
fn rust_binary() {
    let files = [
        ("Cargo.toml", "[package]\nname='orders'"),
        ("Cargo.lock", ""),
        (
            "src/main.rs",
            ".route(\"/readyz\", get(x)).route(\"/health\", y); std::env::var(\"PORT\").unwrap_or(\"8080\".into())",
        ),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: rust [Cargo.toml is there]
    commands.prepare: cargo fetch --locked [Cargo.lock is there, so exactly what it names]
    commands.code_quality: cargo fmt --check && cargo clippy --locked --all-targets --target-dir "$SEAMLESS_CACHE/target" -- -D warnings [rustfmt and clippy come with Rust]
    commands.unit_test: cargo test --locked --target-dir "$SEAMLESS_CACHE/target" [it comes with Rust]
    commands.build: flock "$SEAMLESS_CACHE" sh -c 'cargo build --locked --release --bin orders --target-dir "$SEAMLESS_CACHE/target" && install -D "$SEAMLESS_CACHE/target/release/orders" bin/orders' [Cargo.toml makes the binary orders; only that is kept]
    commands.start: exec bin/orders [it is what the build makes]
    health_path: /readyz ["/readyz" stands in src/main.rs]
    port: 8080 [src/main.rs takes 8080 when PORT is not set; Seamless sets it]
    "##);
}

#[test]
fn rust_workspace() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers=['a','b']"),
        ("Cargo.lock", ""),
        ("a/Cargo.toml", "[package]\nname='tool'"),
        ("a/src/main.rs", ""),
        ("b/Cargo.toml", "[package]\nname='orders-core'\n[[bin]]\nname='orders'\npath='x.rs'"),
        ("c/Cargo.toml", "[package]\nname='lib'"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: rust [Cargo.toml is there]
    commands.prepare: cargo fetch --locked [Cargo.lock is there, so exactly what it names]
    commands.code_quality: cargo fmt --check && cargo clippy --locked --all-targets --target-dir "$SEAMLESS_CACHE/target" -- -D warnings [rustfmt and clippy come with Rust]
    commands.unit_test: cargo test --locked --target-dir "$SEAMLESS_CACHE/target" [it comes with Rust]
    commands.build: flock "$SEAMLESS_CACHE" sh -c 'cargo build --locked --release --package orders-core --bin orders --target-dir "$SEAMLESS_CACHE/target" && install -D "$SEAMLESS_CACHE/target/release/orders" bin/orders' [b/Cargo.toml makes the binary orders; there is also tool; only that is kept]
    commands.start: exec bin/orders [it is what the build makes]
    "##);
}

#[test]
fn maven_with_wrapper_and_spring() {
    let files = [
        ("mvnw", ""),
        (
            "pom.xml",
            "<project><parent><artifactId>spring-boot-starter-parent</artifactId><version>3.4</version></parent><artifactId>orders</artifactId><version>1.2.0</version><dependencies><dependency><artifactId>spring-boot-starter-actuator</artifactId></dependency></dependencies></project>",
        ),
        ("Dockerfile", "FROM x\nEXPOSE 9000/tcp\n"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: java [pom.xml is there]
    commands.prepare: ./mvnw -B -q dependency:go-offline [mvnw is there, so the version that the project names]
    commands.code_quality:  [pom.xml has neither spotless nor checkstyle]
    commands.unit_test: ./mvnw -B test [it is Maven's phase for tests]
    commands.build: ./mvnw -B -DskipTests package [it is Maven's phase for the jar; the tests ran before]
    commands.start: exec java -jar target/orders-1.2.0.jar --server.port=$PORT [pom.xml gives the jar this name, and Spring Boot takes its port so]
    health_path: /actuator/health [Spring Boot's actuator is among the packages]
    dockerfile: Dockerfile [Dockerfile is there; it is used where services run as containers]
    port: 9000 [Dockerfile exposes it]
    "##);
}

#[test]
fn maven_without_wrapper() {
    let files = [(
        "pom.xml",
        "<project><artifactId>orders</artifactId><version>${revision}</version><build><plugins><plugin><artifactId>maven-checkstyle-plugin</artifactId></plugin></plugins></build></project>",
    )];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: java [pom.xml is there]
    commands.prepare: mvn -B -q dependency:go-offline [there is no mvnw, so mvn must be on this machine]
    commands.code_quality: mvn -B -q checkstyle:check [pom.xml has the plugin checkstyle]
    commands.unit_test: mvn -B test [it is Maven's phase for tests]
    commands.build: mvn -B -DskipTests package [it is Maven's phase for the jar; the tests ran before]
    commands.start: exec java -jar target/*.jar [pom.xml does not tell the jar's whole name]
    "##);
}

#[test]
fn gradle_with_wrapper_and_spring() {
    let files = [
        (
            "build.gradle.kts",
            "plugins { id(\"org.springframework.boot\") version \"3.4\" }\nversion = \"0.0.1\"\n",
        ),
        ("settings.gradle.kts", "rootProject.name = \"orders\"\n"),
        ("gradlew", ""),
        ("src/main/java/com/acme/HealthController.java", "@GetMapping(\"/health\")"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: java [build.gradle.kts is there]
    commands.prepare: ./gradlew --no-daemon -q dependencies [gradlew is there, so the version that the project names]
    commands.code_quality:  [the build has none of spotless, checkstyle, detekt and ktlint]
    commands.unit_test: ./gradlew --no-daemon test [it is Gradle's task for tests]
    commands.build: ./gradlew --no-daemon bootJar [it makes the jar; the tests ran before]
    commands.start: exec java -jar build/libs/orders-0.0.1.jar --server.port=$PORT [name and version of the project give the jar this name, and Spring Boot takes its port so]
    health_path: /health ["/health" stands in src/main/java/com/acme/HealthController.java]
    "##);
}

#[test]
fn gradle_application_in_groovy() {
    let files = [
        (
            "build.gradle",
            "plugins { id 'application'\n id 'checkstyle' }\napplication { mainClass = 'x.Main' }\n",
        ),
        ("settings.gradle", "rootProject.name = 'shop'\n"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: java [build.gradle is there]
    commands.prepare: gradle --no-daemon -q dependencies [there is no gradlew, so gradle must be on this machine]
    commands.code_quality: gradle --no-daemon check -x test [the build has the plugin checkstyle]
    commands.unit_test: gradle --no-daemon test [it is Gradle's task for tests]
    commands.build: gradle --no-daemon installDist [the build has the plugin application]
    commands.start: exec build/install/shop/bin/shop [it is what installDist makes]
    "##);
}

#[test]
fn dotnet() {
    let files = [
        ("Orders.sln", ""),
        ("src/Orders/Orders.csproj", "<Project Sdk=\"Microsoft.NET.Sdk.Web\">"),
        ("test/Orders.Tests/Orders.Tests.csproj", "<PackageReference Include=\"Microsoft.NET.Test.Sdk\"/>"),
        ("src/Orders/Program.cs", "app.MapHealthChecks(\"/healthz\");"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: dotnet [Orders.sln is there]
    commands.prepare: dotnet restore [it comes with .NET]
    commands.code_quality: dotnet format --verify-no-changes --no-restore [it comes with .NET]
    commands.unit_test: dotnet test --no-restore [test/Orders.Tests/Orders.Tests.csproj is a project of tests]
    commands.build: dotnet publish src/Orders/Orders.csproj -c Release -o out [src/Orders/Orders.csproj is a web project]
    commands.start: exec dotnet out/Orders.dll --urls http://127.0.0.1:$PORT [it is what the build publishes]
    health_path: /healthz ["/healthz" stands in src/Orders/Program.cs]
    "##);
}

#[test]
fn dockerfile_alone() {
    let files = [(
        "Dockerfile",
        "FROM scratch\nEXPOSE 8080 9090\nHEALTHCHECK --interval=5s \\\n  CMD curl -f http://localhost:8080/api/health || exit 1\nENTRYPOINT [\"/orders\"]\n",
    )];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: docker [Dockerfile is there]
    commands.start:  [only a Dockerfile is there, and a service runs here as a process: give the command that starts it (in its image it is ["/orders"])]
    dockerfile: Dockerfile [Dockerfile is there; it is used where services run as containers]
    port: 8080 [Dockerfile exposes it]
    health_path: /api/health [the HEALTHCHECK of Dockerfile asks for it]
    "##);
}

#[test]
fn makefile_of_an_unknown_runtime() {
    let files = [("Makefile", "CC := cc\n.PHONY: x\nlint:\n\tx\ntest: a b\nbuild all: c\n"), ("shop.c", "")];
    insta::assert_snapshot!(said(&files), @r##"
    commands.code_quality: make lint [Makefile has the target lint]
    commands.unit_test: make test [Makefile has the target test]
    commands.build: make build [Makefile has the target build]
    commands.start:  [nothing tells how it is started; give a command that listens on $PORT]
    "##);
}

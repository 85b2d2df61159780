//! Connecting, changing and forgetting services.

use testkit::{Server, tiny};

#[tokio::test]
async fn a_push_goes_all_the_way() {
    let server = Server::start(super::SEAMLESS).await;
    let (repository, settings) = tiny(&server, "orders");
    let service = server.api.connect(&settings).await;
    let sha = repository.change(&[("VERSION", "2\n")], "Second");
    let run = server.api.run_of(&service, &sha).await;
    server.api.succeeded(run.id).await;
    testkit::serves(&server.api, settings["port"].as_u64().unwrap() as u16, "2").await;
}

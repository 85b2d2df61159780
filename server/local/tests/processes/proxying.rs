//! What passes through the stable port, and what is said when nothing is behind it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    bench::{Bench, Client},
    test,
};

pub fn trials() -> Vec<Trial> {
    vec![
        test("headers_say_who_asked_and_hops_stay_apart", headers),
        test("bodies_stream_both_ways", bodies),
        test("answers_come_as_they_are_made", streaming),
        test("upgraded_connections_pass_through", upgrades),
        test("old_clients_are_served", old_clients),
        test("connections_the_service_closed_are_not_used_again", closed_connections),
        test("a_crashed_service_has_a_plain_page", crashed_page),
    ]
}

async fn up() -> Bench {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    bench
}

/// Sends bytes, reads until the other side closes.
async fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn headers() {
    let bench = up().await;
    let request = "GET /headers HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 10.0.0.9\r\nX-Own: kept\r\n\
                   X-Hop: dropped\r\nKeep-Alive: 5\r\nTE: gzip\r\nConnection: close, x-hop\r\n\r\n";
    let answer = raw(bench.port, request).await;
    let found: BTreeMap<String, String> =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let expected = [
        ("host", "shop.example"),
        ("x-forwarded-for", "10.0.0.9, 127.0.0.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "http"),
        ("x-own", "kept"),
    ];
    assert_eq!(found, BTreeMap::from(expected.map(|(k, v)| (k.to_owned(), v.to_owned()))));
    // An absolute address, as a proxy would be asked, is asked for by its path.
    let answer = raw(
        bench.port,
        "GET http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("v0"), "{answer}");
    let answer = raw(
        bench.port,
        "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

async fn bodies() {
    let bench = up().await;
    let large = "0123456789abcdef".repeat(256 * 1024); // 4 MiB
    let mut client = Client::open(bench.port).await.unwrap();
    let (status, text) = client.send("POST", "/", &large).await.unwrap();
    assert!(status == 200 && text == large);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                   4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n";
    assert!(raw(bench.port, chunked).await.ends_with("wikipedia"));
    let patient = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    stream.write_all(patient.as_bytes()).await.unwrap();
    let mut first = [0u8; 25];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"done").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("done"), "{rest}");
}

async fn streaming() {
    let bench = up().await;
    let mut stream = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let (since, mut text, mut first) = (Instant::now(), String::new(), None);
    let mut part = [0u8; 1024];
    loop {
        match stream.read(&mut part).await.unwrap() {
            0 => break,
            read => text.push_str(&String::from_utf8_lossy(&part[..read])),
        }
        if first.is_none() && text.contains("one") {
            first = Some(since.elapsed());
            assert!(!text.contains("three"));
        }
    }
    assert!(text.contains("one") && text.contains("two") && text.contains("three"), "{text}");
    assert!(since.elapsed() >= first.unwrap() + Duration::from_millis(300));
}

async fn upgrades() {
    let bench = up().await;
    let mut stream = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    for word in ["hello", "again"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut answer = [0u8; 5];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), word.to_uppercase());
    }
    drop(stream);
    assert_eq!(bench.get("/").await, (200, "v0".into()));
}

async fn old_clients() {
    let bench = up().await;
    let answer = raw(bench.port, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("v0"), "{answer}");
    let answer = raw(bench.port, "GET /stream HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("onetwothree"), "{answer}");
    assert!(raw(bench.port, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

/// The service closes idle connections after one second, which is when the pauses end.
async fn closed_connections() {
    let bench = up().await;
    let port = bench.port;
    let clients: Vec<_> = (0..8u64)
        .map(|number| {
            tokio::spawn(async move {
                let mut client = Client::open(port).await.unwrap();
                for round in 0..6 {
                    let (status, _) = client.get("/").await.unwrap();
                    assert_eq!(status, 200);
                    tokio::time::sleep(Duration::from_millis(994 + number + round)).await;
                    let (status, text) = client.send("POST", "/", "body").await.unwrap();
                    assert_eq!((status, text.as_str()), (200, "body"));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

async fn crashed_page() {
    let bench = up().await;
    let answer = raw(bench.port, "GET /crash HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("orders does not answer. It broke off"),
        "{answer}"
    );
    bench.until("stopped", |report| report.health == "stopped").await;
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    let answer = raw(bench.port, ask).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("<h1>orders is not available</h1>"),
        "{answer}"
    );
    assert!(answer.to_lowercase().contains("retry-after: 2"), "{answer}");
}

//! Round trips between both databases, and every way in which a file may not be what it was.

#![allow(clippy::unwrap_used)]

use std::fs;

use entity::{deployment, event, log_chunk, service};
use sea_orm::{EntityTrait, QueryOrder, Set};

use super::*;
use crate::store::events;

const KEY: &str = "correct horse battery staple";

fn key() -> Sealer {
    Sealer::new(&KEY.into())
}

fn file(folder: &Path, name: &str) -> String {
    format!("sqlite:{}", folder.join(name).display())
}

/// A database in which every kind of value is, at its limits.
async fn filled(url: &str, chunks: i64) -> Store {
    let store = Store::open(url).await.unwrap();
    let text = "one's \"quoted\" text,\nßüé 🦀 \\x00 \u{1b}[31m";
    let row = service::Model {
        id: "01JGQ5Y3X8V4T6R2N9M7K1H0FA".into(),
        pipeline_id: "01JGQ5Y3X8V4T6R2N9M7K1H0FB".into(),
        name: text.into(),
        settings: "{}".into(),
        repository: String::new(),
        branch: "main".into(),
        runtime: None,
        production_port: 65_535,
        staging_port: 0,
        hook_secret: key().seal("hook", "secret of a hook").unwrap(),
        notices: "poll".into(),
        head: Some(text.into()),
        hold_reason: None,
        hold_by: None,
        hold_since: Some(i64::MIN),
        last_run: i64::MAX,
        folder: None,
        draft: None,
        generation: -1,
        created_at: 0,
        updated_at: 1,
    };
    service::Entity::insert(service::ActiveModel::from(row))
        .exec_without_returning(store.write())
        .await
        .unwrap();
    for (number, live) in [(1, true), (2, false)] {
        let row = deployment::Model {
            id: format!("01JGQ5Y3X8V4T6R2N9M7K1H0F{number}"),
            service_id: "01JGQ5Y3X8V4T6R2N9M7K1H0FA".into(),
            environment: "staging".into(),
            artifact: String::new(),
            artifact_size: 1 << 40,
            commit_sha: String::new(),
            commit_message: text.into(),
            commit_author: String::new(),
            launch: "{}".into(),
            config_hash: String::new(),
            run_id: String::new(),
            run_number: 1,
            built_by: 1,
            rollback: !live,
            live,
            since: 1,
            until: None,
        };
        let row = deployment::ActiveModel::from(row);
        deployment::Entity::insert(row).exec_without_returning(store.write()).await.unwrap();
    }
    // Numbers of events have holes, keys of logs are in an order of their own, and bodies do not fit into one answer.
    let all = (1..=chunks * 40).map(|seq| event::ActiveModel {
        seq: Set(seq * 3),
        run_id: Set((seq % 2 == 0).then(|| "run".into())),
        service_id: Set(None),
        kind: Set("kind".into()),
        payload: Set(format!("{{\"text\":\"{text}\",\"seq\":{seq}}}")),
        at: Set(-seq),
    });
    for some in all.collect::<Vec<_>>().chunks(500) {
        event::Entity::insert_many(some.to_vec()).exec_without_returning(store.write()).await.unwrap();
    }
    for number in 0..chunks {
        let row = log_chunk::ActiveModel {
            stage_id: Set(format!("stage {}", number % 3)),
            attempt: Set((number % 2) as i32 + 1),
            first_seq: Set(number),
            next_seq: Set(number + 1),
            body: Set((0..(number % 17) * 40_000).map(|b| (b * number % 251) as u8).collect()),
            at: Set(number),
        };
        log_chunk::Entity::insert(row).exec_without_returning(store.write()).await.unwrap();
    }
    store
}

async fn restore(path: &Path, url: &str, replace: bool) -> Result<Done> {
    check(path).await?.restore(url, replace).await
}

type Held = (Vec<service::Model>, Vec<deployment::Model>, Vec<event::Model>, Vec<log_chunk::Model>);

async fn held(store: &Store) -> Held {
    let db = store.read();
    let mut chunks = log_chunk::Entity::find().all(db).await.unwrap();
    chunks.sort_by_key(|c| c.first_seq);
    (
        service::Entity::find().all(db).await.unwrap(),
        deployment::Entity::find().order_by_asc(deployment::Column::Id).all(db).await.unwrap(),
        event::Entity::find().order_by_asc(event::Column::Seq).all(db).await.unwrap(),
        chunks,
    )
}

#[tokio::test]
async fn everything_comes_through_both_databases_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (first, second) = (file(folder.path(), "first.db"), testkit::fresh_database());
    let store = filled(&first, 120).await;
    let expected = held(&store).await;
    assert_eq!((expected.2.len(), expected.3.len()), (4_800, 120));

    let done = backup(&first, &path("a"), &key(), Timestamp(7)).await.unwrap();
    assert!(done.rows() == 4_800 + 120 + 3, "{done:?}");
    let again = backup(&first, &path("a"), &key(), Timestamp(7)).await.unwrap_err();
    assert!(again.to_string().contains("is there already"), "{again}");
    let checked = check(&path("a")).await.unwrap();
    assert_eq!((checked.at, &checked.done.tables), (Timestamp(7), &done.tables));
    assert!(checked.opens_with(&key()) && !checked.opens_with(&Sealer::new(&"another key".into())));

    // From the file into PostgreSQL, on from there into another file, and from that into SQLite.
    restore(&path("a"), &second, false).await.unwrap();
    let there = Store::open(&second).await.unwrap();
    assert!(held(&there).await == expected, "PostgreSQL holds something else");
    there.close().await.unwrap();
    backup(&second, &path("b"), &key(), Timestamp(8)).await.unwrap();
    let third = file(folder.path(), "third.db");
    restore(&path("b"), &third, false).await.unwrap();
    let there = Store::open(&third).await.unwrap();
    assert!(held(&there).await == expected, "SQLite holds something else");

    // Without a file between, in either direction; only when nobody uses either.
    let fourth = testkit::fresh_database();
    let refused = move_to(&third, &fourth, false).await.unwrap_err().to_string();
    assert!(refused.contains("end every server"), "{refused}");
    there.close().await.unwrap();
    let moved = move_to(&third, &fourth, false).await.unwrap();
    assert_eq!(moved.tables, done.tables);
    let there = Store::open(&fourth).await.unwrap();
    assert!(held(&there).await == expected);
    // Numbers go on after those that came.
    let new = events::NewEvent { run: None, service: None, kind: "new", payload: serde_json::json!({}) };
    events::append(there.write(), vec![new], Timestamp(1)).await.unwrap();
    assert_eq!(events::newest(there.read()).await.unwrap(), 4_800 * 3 + 1);
    for (from, to) in [(&fourth, &third), (&third, &fourth)] {
        let refused = move_to(from, to, true).await.unwrap_err().to_string();
        assert!(refused.contains("end every server"), "{refused}");
    }
    there.close().await.unwrap();
    let refused = move_to(&fourth, &third, false).await.unwrap_err().to_string();
    assert!(refused.contains("4800 in event") && refused.contains("--replace"), "{refused}");
    let moved = move_to(&fourth, &third, true).await.unwrap();
    assert_eq!(moved.rows(), done.rows() + 1);
    assert_eq!(held(&Store::open(&third).await.unwrap()).await.2.len(), 4_801);
    assert!(move_to(&fourth, &fourth, true).await.is_err());
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let full = file(folder.path(), "full.db");
    filled(&full, 5).await.close().await.unwrap();
    backup(&full, &path, &key(), Timestamp(7)).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let old = file(folder.path(), "old.db");
    let store = filled(&old, 1).await;
    let before = held(&store).await;
    store.close().await.unwrap();
    let bad = folder.path().join("bad");
    let refused = async |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let error = restore(&bad, &old, true).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_) | Error::Conflict(_)), "{error:?}");
        error.to_string()
    };
    // Cut anywhere, its last byte included.
    for length in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
        let why = refused(&whole[..length]).await;
        let words = if length < 18 { "no backup of Seamless" } else { "is damaged" };
        assert!(why.contains(words), "{length}: {why}");
    }
    // One bit anywhere.
    for at in (18..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let why = refused(&bytes).await;
        assert!(why.contains("is damaged"), "{at}: {why}");
    }
    let longer = refused(&[&whole[..], b"more"].concat()).await;
    assert!(longer.contains("is damaged"), "{longer}");
    let newer = refused(&[b"SEAMLESS BACKUP 2\n", &whole[18..]].concat()).await;
    assert!(newer.contains("newer Seamless"), "{newer}");
    assert!(refused(b"PK\x03\x04 something else altogether").await.contains("no backup of Seamless"));
    assert!(check(&folder.path().join("nowhere")).await.unwrap_err().to_string().contains("cannot be read"));
    // Steps of a program that is not this one.
    let header =
        Header::new(vec!["m0001_first".into(), "m9999_tomorrow".into()], Timestamp(1), String::new());
    file::Writer::create(&folder.path().join("tomorrow"), &header).unwrap().finish().unwrap();
    let newer = refused(&fs::read(folder.path().join("tomorrow")).unwrap()).await;
    assert!(newer.contains("newer Seamless") && newer.contains("m9999_tomorrow"), "{newer}");

    let store = Store::open(&old).await.unwrap();
    assert!(held(&store).await == before, "what was there stayed");
    store.close().await.unwrap();
    let left = fs::read_dir(folder.path()).unwrap().flatten().filter(|f| {
        let name = f.file_name().into_string().unwrap();
        name.contains(".new") || name.contains(".part")
    });
    assert_eq!(left.count(), 0, "drafts were left");
    restore(&path, &old, true).await.unwrap();
}

#[tokio::test]
async fn a_backup_of_an_older_schema_is_brought_up_to_date() {
    for postgres in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let url = if postgres { testkit::fresh_database() } else { file(folder.path(), "new.db") };
        let path = folder.path().join("backup");
        let old = file(folder.path(), "old.db");
        let store = open::connect(&old, None, Sharing::Shared).await.unwrap();
        let tx = store.begin().await.unwrap();
        assert_eq!(schema::up(&tx, 1).await.unwrap(), ["m0001_first"]);
        tx.commit().await.unwrap();
        let add = "INSERT INTO pipeline (id, name, environments, created_at) VALUES ('01JGQ5Y3X8V4T6R2N9M7K1H0FB', 'Main', '[]', 1)";
        sea_orm::ConnectionTrait::execute_unprepared(store.write(), add).await.unwrap();
        store.close().await.unwrap();
        backup(&old, &path, &key(), Timestamp(7)).await.unwrap();
        let done = restore(&path, &url, false).await.unwrap();
        assert_eq!(done.steps, schema::known()[1..]);
        let store = Store::open(&url).await.unwrap();
        let all = crate::store::services::pipelines(store.read()).await.unwrap();
        assert_eq!((all[0].name.as_str(), all[0].log_days), ("Main", 90));
    }
}

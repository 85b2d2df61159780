//! Looking at rows, and changing them, beside whatever else uses a database.

use sea_orm::{ConnectionTrait, Database, Statement};

/// What a database answers to a question for one number.
pub async fn number(url: &str, sql: &str) -> i64 {
    let database = Database::connect(url).await.unwrap();
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.unwrap().expect("a row");
    let number = row.try_get_by_index(0).unwrap();
    database.close().await.unwrap();
    number
}

/// Does what a test could not wait for, such as making something old.
pub async fn change(url: &str, sql: &str) {
    let database = Database::connect(url).await.unwrap();
    database.execute_unprepared(sql).await.unwrap();
    database.close().await.unwrap();
}

/// What a database answers to a question for one text a row.
pub async fn texts(url: &str, sql: &str) -> Vec<String> {
    let database = Database::connect(url).await.unwrap();
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    let texts = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    database.close().await.unwrap();
    texts
}

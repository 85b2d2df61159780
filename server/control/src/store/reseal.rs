//! Another key: everything that is sealed in the database is opened with the key it has, and sealed with the newest.
//!
//! Refuses while servers work, since they would go on sealing with the key they know; all is done in one transaction or nothing.

use entity::service;
use sea_orm::{ActiveModelTrait, ConnectionTrait};

use super::{
    executions, forge,
    open::{self, Sharing},
    people, rows, services,
};
use crate::{error::Result, identity, seal::Sealer, variables};

/// Seals everything anew; how many secrets there were.
///
/// # Errors
/// When another process uses the database, or a secret opens with none of the keys.
pub async fn reseal(url: &str, sealer: &Sealer) -> Result<usize> {
    let store = open::connect(url, None, Sharing::Alone).await?;
    open::migrate(&store).await?;
    let tx = store.begin().await?;
    let count = all(&tx, sealer).await?;
    tx.commit().await?;
    store.close().await?;
    Ok(count)
}

async fn all<C: ConnectionTrait>(db: &C, sealer: &Sealer) -> Result<usize> {
    let mut count = 0;
    let mut again = |purpose: &str, sealed: &mut String| -> Result<()> {
        *sealed = sealer.seal(purpose, &sealer.open(purpose, sealed)?)?;
        count += 1;
        Ok(())
    };
    for mut row in services::all_with_drafts(db).await? {
        let mut settings = rows::settings(&row)?;
        for secret in variables::secrets(&mut settings) {
            again(variables::PURPOSE, secret)?;
        }
        row.settings = serde_json::to_string(&settings)?;
        again("hook", &mut row.hook_secret)?;
        service::ActiveModel::from(row).reset_all().update(db).await?;
    }
    for mut hook in forge::hooks(db).await? {
        again("forge-hook", &mut hook.secret)?;
        forge::keep_hook(db, hook).await?;
    }
    for mut person in people::all(db).await? {
        if let Some(token) = &mut person.token {
            again(identity::PURPOSE, token)?;
            people::keep(db, person).await?;
        }
    }
    for mut execution in executions::open(db).await? {
        if let Some(token) = execution.gate_token.as_mut().filter(|tokens| !tokens.is_empty()) {
            again(executions::GATE, token)?;
            executions::keep(db, execution).await?;
        }
    }
    Ok(count)
}

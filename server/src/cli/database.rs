//! `seamless migrate`, `backup`, `restore` and `move`: what is done with the database as a whole.

use std::path::Path;

use anyhow::{Context, bail};
use control::{
    seal::Sealer,
    store::{
        Store,
        backup::{self, Checked, Done},
    },
};
use secrecy::ExposeSecret;

use crate::{
    config::{Config, KEY_FILE, replace_keys},
    serve::with_causes,
};

/// Brings the schema up to date and says what was done.
pub async fn migrate(config: &Config) -> anyhow::Result<i32> {
    let (store, steps) = Store::open_with(config.database.expose_secret(), config.pool)
        .await
        .map_err(with_causes)
        .context("the database cannot be brought up to date")?;
    match &steps[..] {
        [] => {
            let all = store.steps().await?;
            println!("The database is up to date: its last step is {}.", all.last().map_or("none", |s| s));
        }
        steps => println!("The database was brought up to date: {}.", steps.join(", ")),
    }
    store.close().await?;
    Ok(0)
}

/// Writes a backup.
pub async fn backup(config: &Config, file: &Path) -> anyhow::Result<i32> {
    let key = Sealer::new(&config.key).and_old(&config.old_keys);
    let done = backup::backup(config.database.expose_secret(), file, &key, control::wall_clock())
        .await
        .map_err(with_causes)
        .context("no backup was made")?;
    let size = std::fs::metadata(file)?.len();
    println!("Backed up {} into {} ({}).", counted(&done), file.display(), app::text::words::size(size));
    println!("It does not hold what lies in {}:", config.data.display());
    println!(
        "  - artifacts and what is deployed on this machine (needed to go back to a version), mirrors, caches;"
    );
    println!(
        "  - the key ({}): without it nobody can open the secrets in the backup. Keep a copy of it, apart from the backup.",
        key_source(config)
    );
    Ok(0)
}

/// Reads a backup and says what it holds.
pub async fn check(config: &Config, file: &Path) -> anyhow::Result<i32> {
    let checked = backup::check(file).await.map_err(with_causes)?;
    told(&checked);
    if checked.opens_with(&Sealer::new(&config.key).and_old(&config.old_keys)) {
        println!("The key ({}) opens its secrets.", key_source(config));
    } else {
        println!("The key ({}) does not open its secrets: it was made with another one.", key_source(config));
    }
    Ok(0)
}

/// Puts a backup into the database.
pub async fn restore(config: &Config, file: &Path, replace: bool, without_key: bool) -> anyhow::Result<i32> {
    let checked = backup::check(file).await.map_err(with_causes).context("nothing was restored")?;
    let opens = checked.opens_with(&Sealer::new(&config.key).and_old(&config.old_keys));
    if !opens && !without_key {
        bail!(
            "nothing was restored: the key ({}) does not open the secrets of this backup. Set SEAMLESS_SECRET_KEY to the key of the \
             server that was backed up, or put its secret.key at {}; or say --without-key, and enter every secret variable again \
             and every hook's secret at its sender",
            key_source(config),
            config.data.join("secret.key").display()
        );
    }
    let done = checked
        .restore(config.database.expose_secret(), replace)
        .await
        .map_err(with_causes)
        .context("nothing was restored")?;
    told(&checked);
    println!("Restored {}; what is there now was read again and is the same.", counted(&done));
    steps(&done);
    if !opens {
        println!(
            "Its secrets cannot be opened with this key: enter secret variables and hooks' secrets again."
        );
    }
    println!(
        "Artifacts are not part of a backup: where {} lacks them, going back to an older version says so, and the next run builds anew.",
        config.data.display()
    );
    Ok(0)
}

/// Moves everything to another database.
pub async fn move_to(config: &Config, to: &str, replace: bool) -> anyhow::Result<i32> {
    let done = backup::move_to(config.database.expose_secret(), to, replace)
        .await
        .map_err(with_causes)
        .context("nothing was moved")?;
    for (table, rows) in &done.tables {
        println!("{rows:>12}  {table}");
    }
    println!("Moved {}; both were read and compared table by table, and are the same.", counted(&done));
    steps(&done);
    println!(
        "Next: set DATABASE_URL to the new database and start the server. Leave SEAMLESS_DATA and the key as they are."
    );
    println!("The old database stays as it was; remove it when you no longer want it.");
    Ok(0)
}

/// Seals everything with another key: the one that `SEAMLESS_SECRET_KEY` names now, or one that is made here.
pub async fn rotate_key(mut config: Config) -> anyhow::Result<i32> {
    let path = config.data.join(KEY_FILE);
    let file = (key_source(&config) != SETTING).then_some(&path);
    if let Some(file) = file {
        let before = std::mem::replace(&mut config.key, control::seal::new_token()?);
        config.old_keys.insert(0, before);
        // What fails from here on leaves a file whose keys open everything, and is done again by the same command.
        let all: Vec<_> = std::iter::once(&config.key).chain(&config.old_keys).cloned().collect();
        replace_keys(file, &all)?;
    } else if config.old_keys.is_empty() {
        bail!(
            "set SEAMLESS_SECRET_KEY to the new key and SEAMLESS_SECRET_KEY_OLD to the one before, then say this again"
        );
    }
    let sealer = Sealer::new(&config.key).and_old(&config.old_keys);
    let count = control::store::reseal::reseal(config.database.expose_secret(), &sealer)
        .await
        .map_err(with_causes)
        .context("nothing was sealed anew")?;
    println!("Sealed {count} secrets with the new key ({}).", key_source(&config));
    match file {
        Some(file) => replace_keys(file, std::slice::from_ref(&config.key))?,
        None => println!("SEAMLESS_SECRET_KEY_OLD is not needed any more; set the new key at every server."),
    }
    println!("Backups that were made before open with the old key alone: keep it with them.");
    Ok(0)
}

fn told(checked: &Checked) {
    println!(
        "The backup is whole: {}, written by Seamless {} at {}.",
        counted(&checked.done),
        checked.program,
        checked.at
    );
}

fn steps(done: &Done) {
    if !done.steps.is_empty() {
        println!("Brought up to date as well: {}.", done.steps.join(", "));
    }
}

fn counted(done: &Done) -> String {
    let (rows, tables) = (done.rows(), done.tables.len());
    format!("{rows} {} in {tables} tables", if rows == 1 { "row" } else { "rows" })
}

const SETTING: &str = "SEAMLESS_SECRET_KEY";

fn key_source(config: &Config) -> String {
    if std::env::var_os(SETTING).is_some_and(|k| !k.is_empty()) {
        return SETTING.into();
    }
    config.data.join(KEY_FILE).display().to_string()
}

//! The first tables: from a hook to what runs where.

use sea_orm_migration::prelude::*;

/// Step 1.
#[derive(DeriveMigrationName)]
pub struct Migration;

fn text(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.text().not_null();
    column
}
fn text_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.text().null();
    column
}
fn big(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.big_integer().not_null();
    column
}
fn big_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.big_integer().null();
    column
}
fn int(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.integer().not_null();
    column
}
fn flag(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.boolean().not_null();
    column
}
fn id() -> ColumnDef {
    let mut column = text("id");
    column.primary_key();
    column
}

fn table(name: &'static str, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(Alias::new(name));
    for column in columns {
        table.col(column);
    }
    table
}

fn index(
    name: &'static str,
    on: &'static str,
    columns: &[&'static str],
    unique: bool,
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(Alias::new(on));
    for column in columns {
        index.col(Alias::new(*column));
    }
    if unique {
        index.unique();
    }
    index
}

fn tables() -> Vec<TableCreateStatement> {
    let mut seq = ColumnDef::new(Alias::new("seq"));
    seq.big_integer().not_null().auto_increment().primary_key();
    let mut body = ColumnDef::new(Alias::new("body"));
    body.blob().not_null();
    let mut chunk = table(
        "log_chunk",
        vec![text("stage_id"), int("attempt"), big("first_seq"), big("next_seq"), body, big("at")],
    );
    chunk.primary_key(
        Index::create().col(Alias::new("stage_id")).col(Alias::new("attempt")).col(Alias::new("first_seq")),
    );
    let mut run_id = text("run_id");
    run_id.primary_key();
    let mut token_hash = text("token_hash");
    token_hash.primary_key();
    vec![
        table("pipeline", vec![id(), text("name"), text("environments"), big("created_at")]),
        table(
            "service",
            vec![
                id(),
                text("pipeline_id"),
                text("name"),
                text("settings"),
                text("repository"),
                text("branch"),
                text_null("runtime"),
                int("production_port"),
                int("staging_port"),
                text("hook_secret"),
                text("notices"),
                text_null("head"),
                text_null("hold_reason"),
                text_null("hold_by"),
                big_null("hold_since"),
                big("last_run"),
                big("generation"),
                big("created_at"),
                big("updated_at"),
            ],
        ),
        table(
            "run",
            vec![
                id(),
                text("service_id"),
                big("number"),
                text("status"),
                text_null("reason"),
                text("trigger"),
                text_null("requested_by"),
                text("branch"),
                text("commit_sha"),
                text("commit_message"),
                text("commit_author"),
                big_null("pull_request"),
                text("plan"),
                text("cause"),
                text_null("artifact"),
                big_null("artifact_size"),
                text_null("rerun_of"),
                text_null("rollback_to"),
                flag("cancel_requested"),
                text_null("cancel_by"),
                big("generation"),
                big("created_at"),
                big_null("started_at"),
                big_null("ended_at"),
            ],
        ),
        table(
            "stage",
            vec![
                id(),
                text("run_id"),
                text("service_id"),
                text("kind"),
                int("ordinal"),
                text("status"),
                text_null("reason"),
                int("attempt"),
                text_null("token_hash"),
                big_null("heartbeat_at"),
                big_null("ready_at"),
                big_null("started_at"),
                big_null("ended_at"),
                big("lines"),
                big_null("error_seq"),
                text_null("error_text"),
                text_null("deployment_id"),
                big("generation"),
            ],
        ),
        table(
            "approval",
            vec![
                run_id,
                text("state"),
                text_null("artifact"),
                text_null("note"),
                big("requested_at"),
                big("expires_at"),
                text_null("decided_by"),
                text_null("comment"),
                big_null("decided_at"),
            ],
        ),
        table(
            "deployment",
            vec![
                id(),
                text("service_id"),
                text("environment"),
                text("artifact"),
                big("artifact_size"),
                text("commit_sha"),
                text("commit_message"),
                text("commit_author"),
                text("launch"),
                text("config_hash"),
                text("run_id"),
                big("run_number"),
                big("built_by"),
                flag("rollback"),
                flag("live"),
                big("since"),
                big_null("until"),
            ],
        ),
        table(
            "delivery",
            vec![
                id(),
                text("guid"),
                text("source"),
                text("event"),
                text_null("service_id"),
                text("payload"),
                text("verdict"),
                text_null("reason"),
                text_null("run_id"),
                big("received_at"),
                big_null("handled_at"),
            ],
        ),
        table(
            "event",
            vec![seq, text_null("run_id"), text_null("service_id"), text("kind"), text("payload"), big("at")],
        ),
        chunk,
        table(
            "session",
            vec![
                id(),
                text("token_hash"),
                text("user_name"),
                text("agent"),
                big("created_at"),
                big("expires_at"),
            ],
        ),
        table("login_link", vec![token_hash, big("created_at"), big("expires_at"), big_null("used_at")]),
        table(
            "api_token",
            vec![
                id(),
                text("name"),
                text("token_hash"),
                big("created_at"),
                big_null("expires_at"),
                big_null("used_at"),
            ],
        ),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("pipeline_name", "pipeline", &["name"], true),
        index("service_name", "service", &["pipeline_id", "name"], true),
        index("run_number", "run", &["service_id", "number"], true),
        index("run_cause", "run", &["service_id", "trigger", "commit_sha", "cause"], true),
        index("run_status", "run", &["status"], false),
        index("stage_kind", "stage", &["run_id", "kind"], true),
        index("stage_status", "stage", &["status"], false),
        index("stage_service", "stage", &["service_id", "kind", "status", "ended_at"], false),
        index("deployment_live", "deployment", &["service_id", "environment", "live"], false),
        index("delivery_guid", "delivery", &["guid"], true),
        index("delivery_verdict", "delivery", &["verdict"], false),
        index("event_run", "event", &["run_id", "seq"], false),
        index("session_token", "session", &["token_hash"], true),
        index("api_token_hash", "api_token", &["token_hash"], true),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            if let Some(name) = table.get_table_name() {
                manager.drop_table(Table::drop().table(name.clone()).to_owned()).await?;
            }
        }
        Ok(())
    }
}

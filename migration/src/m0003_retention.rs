//! What is kept for how long, and indexes that find a little among very much.

use sea_orm_migration::prelude::*;

/// Step 3.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Columns that come to be: table, column, its type as both databases spell it, and what it is for what is there already.
const COLUMNS: [(&str, &str, &str); 5] = [
    ("pipeline", "log_days", "integer NOT NULL DEFAULT 90"),
    ("pipeline", "log_megabytes", "bigint NOT NULL DEFAULT 0"),
    ("pipeline", "run_days", "integer NOT NULL DEFAULT 0"),
    ("stage", "log_bytes", "bigint NOT NULL DEFAULT 0"),
    ("stage", "log_removed", "text NULL"),
];

/// Each of these is the path of one question that is asked often, or of one page.
const INDEXES: [(&str, &str); 10] = [
    ("run_service", "run (service_id, id)"),
    ("run_status_id", "run (status, id)"),
    ("run_service_status", "run (service_id, status, id)"),
    ("stage_usual", "stage (service_id, status, ended_at)"),
    ("stage_log", "stage (service_id, ended_at, log_bytes) WHERE log_bytes > 0"),
    ("deployment_service", "deployment (service_id, id)"),
    ("deployment_artifact", "deployment (service_id, environment, artifact, id)"),
    ("deployment_run", "deployment (run_id)"),
    ("deployment_now", "deployment (live)"),
    ("delivery_verdict_id", "delivery (verdict, id)"),
];

/// Those that the new ones make needless, with what they were.
const NEEDLESS: [(&str, &str); 3] = [
    ("run_status", "run (status)"),
    ("stage_service", "stage (service_id, kind, status, ended_at)"),
    ("delivery_verdict", "delivery (verdict)"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (table, column, kind) in COLUMNS {
            db.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}")).await?;
        }
        db.execute_unprepared(
            "UPDATE stage SET log_bytes = \
             (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM log_chunk WHERE log_chunk.stage_id = stage.id) \
             WHERE EXISTS (SELECT 1 FROM log_chunk WHERE log_chunk.stage_id = stage.id)",
        )
        .await?;
        for (name, on) in INDEXES {
            db.execute_unprepared(&format!("CREATE INDEX {name} ON {on}")).await?;
        }
        for (name, _) in NEEDLESS {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (name, on) in NEEDLESS {
            db.execute_unprepared(&format!("CREATE INDEX {name} ON {on}")).await?;
        }
        for (name, _) in INDEXES {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        for (table, column, _) in COLUMNS {
            db.execute_unprepared(&format!("ALTER TABLE {table} DROP COLUMN {column}")).await?;
        }
        Ok(())
    }
}

//! The inbox. A delivery is stored before anything is done about it, and keeps what was done.

use domain::{
    DeliveryId, Timestamp,
    view::{Delivery, ServiceRef},
};
use entity::delivery;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect,
    prelude::*, sea_query::OnConflict,
};
use serde_json::json;

use crate::error::{Error, Result};

/// Lists show this much of a payload, in characters.
const SHOWN: usize = 32 * 1024;

/// Stores a delivery; false when its GUID is known.
pub async fn insert<C: ConnectionTrait>(db: &C, row: delivery::Model) -> Result<bool> {
    let inserted = delivery::Entity::insert(delivery::ActiveModel::from(row))
        .on_conflict(OnConflict::column(delivery::Column::Guid).do_nothing().to_owned())
        .exec_without_returning(db)
        .await;
    match inserted {
        Ok(rows) => Ok(rows == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Undone deliveries, oldest first, and for which service each is: their payloads may be large.
pub async fn pending<C: ConnectionTrait>(db: &C, limit: u64) -> Result<Vec<(String, Option<String>)>> {
    Ok(delivery::Entity::find()
        .select_only()
        .columns([delivery::Column::Id, delivery::Column::ServiceId])
        .filter(delivery::Column::Verdict.eq("pending"))
        .order_by_asc(delivery::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?)
}

/// A delivery, for who works on it alone until the transaction ends; nothing when somebody else does.
pub async fn claim<C: ConnectionTrait>(db: &C, id: &str) -> Result<Option<delivery::Model>> {
    Ok(super::backend::claim(delivery::Entity::find_by_id(id)).one(db).await?)
}

/// One delivery.
pub async fn get<C: ConnectionTrait>(db: &C, id: DeliveryId) -> Result<delivery::Model> {
    delivery::Entity::find_by_id(id.to_string())
        .one(db)
        .await?
        .ok_or_else(|| Error::not_found("delivery", id))
}

/// The delivery with a GUID.
pub async fn by_guid<C: ConnectionTrait>(db: &C, guid: &str) -> Result<Option<delivery::Model>> {
    Ok(delivery::Entity::find().filter(delivery::Column::Guid.eq(guid)).one(db).await?)
}

/// Writes down what became of a pending delivery.
pub async fn settle<C: ConnectionTrait>(
    db: &C,
    id: &str,
    verdict: &str,
    reason: Option<String>,
    run: Option<String>,
    now: Timestamp,
) -> Result<()> {
    delivery::ActiveModel {
        id: Set(id.to_owned()),
        verdict: Set(verdict.into()),
        reason: Set(reason),
        run_id: Set(run),
        handled_at: Set(Some(now.0)),
        ..Default::default()
    }
    .update(db)
    .await?;
    Ok(())
}

/// Says for which service a delivery is.
pub async fn concern<C: ConnectionTrait>(db: &C, id: &str, service: &str) -> Result<()> {
    delivery::Entity::update_many()
        .col_expr(delivery::Column::ServiceId, Expr::value(Some(service)))
        .filter(delivery::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Lets a delivery run that waits; false when it does not wait.
pub async fn release<C: ConnectionTrait>(db: &C, id: DeliveryId, by: &str) -> Result<bool> {
    let done = delivery::Entity::update_many()
        .col_expr(delivery::Column::Verdict, Expr::value("pending"))
        .col_expr(delivery::Column::ReleasedBy, Expr::value(Some(by)))
        .filter(delivery::Column::Id.eq(id.to_string()))
        .filter(delivery::Column::Verdict.eq("waiting"))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Ends the waiting of a delivery; false when it does not wait.
pub async fn turn_away<C: ConnectionTrait>(
    db: &C,
    id: DeliveryId,
    why: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = delivery::Entity::update_many()
        .col_expr(delivery::Column::Verdict, Expr::value("ignored"))
        .col_expr(delivery::Column::Reason, Expr::value(Some(why)))
        .col_expr(delivery::Column::HandledAt, Expr::value(Some(now.0)))
        .filter(delivery::Column::Id.eq(id.to_string()))
        .filter(delivery::Column::Verdict.eq("waiting"))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// All that wait for a person, newest first.
pub async fn all_waiting<C: ConnectionTrait>(db: &C, limit: u64) -> Result<Vec<delivery::Model>> {
    Ok(delivery::Entity::find()
        .filter(delivery::Column::Verdict.eq("waiting"))
        .order_by_desc(delivery::Column::Id)
        .limit(limit)
        .all(db)
        .await?)
}

/// Those of a service that wait for a person.
pub async fn waiting<C: ConnectionTrait>(db: &C, service: &str) -> Result<Vec<delivery::Model>> {
    Ok(delivery::Entity::find()
        .filter(delivery::Column::Verdict.eq("waiting"))
        .filter(delivery::Column::ServiceId.eq(service))
        .all(db)
        .await?)
}

/// Newest first, of each payload only the beginning.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    before: Option<DeliveryId>,
    limit: u64,
) -> Result<Vec<delivery::Model>> {
    let columns = delivery::Column::iter().filter(|c| !matches!(c, delivery::Column::Payload));
    let mut query = delivery::Entity::find()
        .select_only()
        .columns(columns)
        .column_as(Expr::cust(format!("substr(payload, 1, {})", SHOWN + 1)), "payload")
        .order_by_desc(delivery::Column::Id)
        .limit(limit);
    if let Some(before) = before {
        query = query.filter(delivery::Column::Id.lt(before.to_string()));
    }
    Ok(query.into_model::<delivery::Model>().all(db).await?)
}

/// As API and pages show it.
pub fn view(row: delivery::Model, service: Option<ServiceRef>) -> Result<Delivery> {
    Ok(Delivery {
        id: row.id.parse()?,
        guid: row.guid,
        source: row.source,
        event: row.event,
        service,
        // A payload whose end was left out is no JSON any more; one that came broken never was.
        payload: serde_json::from_str(&row.payload)
            .unwrap_or_else(|_| json!({ "begins": row.payload.chars().take(SHOWN).collect::<String>() })),
        verdict: row.verdict,
        reason: row.reason,
        run: row.run_id.map(|r| r.parse()).transpose()?,
        received_at: Timestamp(row.received_at),
        handled_at: row.handled_at.map(Timestamp),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn two_never_have_the_same_one_and_nobody_waits() {
        let store = Store::open(&testkit::fresh_database()).await.unwrap();
        for guid in ["a", "b"] {
            let row = delivery::Model {
                id: guid.into(),
                guid: guid.into(),
                source: "git".into(),
                event: "push".into(),
                service_id: None,
                payload: "{}".into(),
                verdict: "pending".into(),
                reason: None,
                run_id: None,
                released_by: None,
                received_at: 1,
                handled_at: None,
            };
            assert!(insert(store.write(), row).await.unwrap());
        }
        let (one, other) = (store.begin().await.unwrap(), store.begin().await.unwrap());
        assert!(claim(&one, "a").await.unwrap().is_some());
        assert!(claim(&other, "a").await.unwrap().is_none());
        assert!(claim(&other, "b").await.unwrap().is_some());
        settle(&one, "a", "accepted", None, None, Timestamp(1)).await.unwrap();
        one.commit().await.unwrap();
        assert_eq!(claim(&other, "a").await.unwrap().unwrap().verdict, "accepted");
    }
}

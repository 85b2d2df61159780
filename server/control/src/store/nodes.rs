//! Servers, and what one of them does at a time.

use domain::Timestamp;
use entity::{lease, node};
use sea_orm::{
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use crate::error::Result;

/// Writes down that a server lives.
pub async fn seen<C: ConnectionTrait>(db: &C, row: node::Model) -> Result<()> {
    let known = OnConflict::column(node::Column::Id).update_column(node::Column::SeenAt).to_owned();
    node::Entity::insert(node::ActiveModel::from(row)).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

/// Servers that were seen since a moment, the newest first.
pub async fn since<C: ConnectionTrait>(db: &C, since: Timestamp) -> Result<Vec<node::Model>> {
    Ok(node::Entity::find()
        .filter(node::Column::SeenAt.gte(since.0))
        .order_by_desc(node::Column::Id)
        .all(db)
        .await?)
}

/// Servers of a data folder, the newest first, however long ago they were seen.
pub async fn of_folder<C: ConnectionTrait>(db: &C, folder: &str) -> Result<Vec<node::Model>> {
    Ok(node::Entity::find()
        .filter(node::Column::Folder.eq(folder))
        .order_by_desc(node::Column::SeenAt)
        .all(db)
        .await?)
}

/// One server.
pub async fn get<C: ConnectionTrait>(db: &C, id: &str) -> Result<Option<node::Model>> {
    Ok(node::Entity::find_by_id(id).one(db).await?)
}

/// Forgets a server that ends, and gives back what it had to do.
pub async fn forget<C: ConnectionTrait>(db: &C, id: &str) -> Result<()> {
    lease::Entity::delete_many().filter(lease::Column::Holder.eq(id)).exec(db).await?;
    node::Entity::delete_by_id(id).exec(db).await?;
    Ok(())
}

/// Forgets servers that were not seen for long.
pub async fn prune<C: ConnectionTrait>(db: &C, before: Timestamp) -> Result<()> {
    node::Entity::delete_many().filter(node::Column::SeenAt.lt(before.0)).exec(db).await?;
    Ok(())
}

/// A lease goes to somebody, as far as what is added allows.
fn assign(name: &str, holder: &str, until: Timestamp) -> sea_orm::UpdateMany<lease::Entity> {
    lease::Entity::update_many()
        .col_expr(lease::Column::Holder, Expr::value(holder))
        .col_expr(lease::Column::Until, Expr::value(until.0))
        .filter(lease::Column::Name.eq(name))
}

/// Takes or keeps some work until a moment; false while another has it.
pub async fn take<C: ConnectionTrait>(
    db: &C,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let taken = assign(name, holder, until)
        .filter(lease::Column::Holder.eq(holder).or(lease::Column::Until.lt(now.0)))
        .exec(db)
        .await?;
    if taken.rows_affected > 0 {
        return Ok(true);
    }
    let row = lease::Model { name: name.into(), holder: holder.into(), until: until.0 };
    let unknown = OnConflict::column(lease::Column::Name).do_nothing().to_owned();
    match lease::Entity::insert(lease::ActiveModel::from(row))
        .on_conflict(unknown)
        .exec_without_returning(db)
        .await
    {
        Ok(rows) => Ok(rows == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Who has some work.
pub async fn holder<C: ConnectionTrait>(db: &C, name: &str) -> Result<Option<String>> {
    Ok(lease::Entity::find_by_id(name).one(db).await?.map(|lease| lease.holder))
}

/// Takes some work from one who has it.
pub async fn take_over<C: ConnectionTrait>(
    db: &C,
    name: &str,
    from: &str,
    holder: &str,
    until: Timestamp,
) -> Result<bool> {
    let taken = assign(name, holder, until).filter(lease::Column::Holder.eq(from)).exec(db).await?;
    Ok(taken.rows_affected > 0)
}

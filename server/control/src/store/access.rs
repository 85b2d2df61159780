//! Sessions, one-time login links and API tokens; of each only a hash is kept.

use domain::Timestamp;
use entity::{api_token, login_link, session};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, prelude::*,
    sea_query::OnConflict,
};

use crate::error::Result;

/// Remembers a login link.
pub async fn add_link<C: ConnectionTrait>(
    db: &C,
    hash: String,
    now: Timestamp,
    expires: Timestamp,
) -> Result<()> {
    login_link::Entity::insert(login_link::ActiveModel {
        token_hash: Set(hash),
        created_at: Set(now.0),
        expires_at: Set(expires.0),
        used_at: Set(None),
    })
    .exec_without_returning(db)
    .await?;
    login_link::Entity::delete_many().filter(login_link::Column::ExpiresAt.lt(now.0)).exec(db).await?;
    Ok(())
}

/// Uses a link up; false when it is unknown, expired or used.
pub async fn use_link<C: ConnectionTrait>(db: &C, hash: &str, now: Timestamp) -> Result<bool> {
    let used = login_link::Entity::update_many()
        .col_expr(login_link::Column::UsedAt, Expr::value(Some(now.0)))
        .filter(login_link::Column::TokenHash.eq(hash))
        .filter(login_link::Column::UsedAt.is_null())
        .filter(login_link::Column::ExpiresAt.gt(now.0))
        .exec(db)
        .await?;
    Ok(used.rows_affected == 1)
}

/// Whether a login link would work.
pub async fn has_link<C: ConnectionTrait>(db: &C, hash: &str, now: Timestamp) -> Result<bool> {
    let row = login_link::Entity::find_by_id(hash).one(db).await?;
    Ok(row.is_some_and(|l| l.used_at.is_none() && l.expires_at > now.0))
}

/// Remembers that something was used, until it would have ended by itself; false when it was used before.
pub async fn spend<C: ConnectionTrait>(
    db: &C,
    hash: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    login_link::Entity::delete_many().filter(login_link::Column::ExpiresAt.lt(now.0)).exec(db).await?;
    let row = login_link::ActiveModel {
        token_hash: Set(hash),
        created_at: Set(now.0),
        expires_at: Set(until.0),
        used_at: Set(Some(now.0)),
    };
    let mut once = OnConflict::column(login_link::Column::TokenHash);
    let added = login_link::Entity::insert(row).on_conflict(once.do_nothing().to_owned());
    Ok(added.exec_without_returning(db).await? == 1)
}

/// Begins a session.
pub async fn add_session<C: ConnectionTrait>(db: &C, row: session::Model) -> Result<()> {
    session::Entity::insert(session::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// The session of a cookie, if it has not expired.
pub async fn session<C: ConnectionTrait>(
    db: &C,
    hash: &str,
    now: Timestamp,
) -> Result<Option<session::Model>> {
    Ok(session::Entity::find()
        .filter(session::Column::TokenHash.eq(hash))
        .filter(session::Column::ExpiresAt.gt(now.0))
        .one(db)
        .await?)
}

/// All sessions that have not expired, newest first.
pub async fn sessions<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<Vec<session::Model>> {
    Ok(session::Entity::find()
        .filter(session::Column::ExpiresAt.gt(now.0))
        .order_by_desc(session::Column::CreatedAt)
        .all(db)
        .await?)
}

/// Ends a session.
pub async fn remove_session<C: ConnectionTrait>(db: &C, id: &str) -> Result<bool> {
    Ok(session::Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}

/// Ends the session of a cookie, if there is one.
pub async fn remove_session_of<C: ConnectionTrait>(db: &C, hash: &str) -> Result<()> {
    session::Entity::delete_many().filter(session::Column::TokenHash.eq(hash)).exec(db).await?;
    Ok(())
}

/// All API tokens, newest first.
pub async fn tokens<C: ConnectionTrait>(db: &C) -> Result<Vec<api_token::Model>> {
    Ok(api_token::Entity::find().order_by_desc(api_token::Column::CreatedAt).all(db).await?)
}

/// Forgets API tokens that ended before a moment.
pub async fn forget_tokens<C: ConnectionTrait>(db: &C, before: Timestamp) -> Result<()> {
    api_token::Entity::delete_many().filter(api_token::Column::ExpiresAt.lt(before.0)).exec(db).await?;
    Ok(())
}

/// Forgets an API token.
pub async fn remove_token<C: ConnectionTrait>(db: &C, id: &str) -> Result<bool> {
    Ok(api_token::Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}

/// Remembers an API token.
pub async fn add_token<C: ConnectionTrait>(db: &C, row: api_token::Model) -> Result<()> {
    api_token::Entity::insert(api_token::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// The token's row, if it has not expired.
pub async fn token<C: ConnectionTrait>(
    db: &C,
    hash: &str,
    now: Timestamp,
) -> Result<Option<api_token::Model>> {
    let row = api_token::Entity::find().filter(api_token::Column::TokenHash.eq(hash)).one(db).await?;
    Ok(row.filter(|t| t.expires_at.is_none_or(|at| at > now.0)))
}

/// Remembers when a token was last used.
pub async fn touch_token<C: ConnectionTrait>(db: &C, id: &str, now: Timestamp) -> Result<()> {
    api_token::Entity::update_many()
        .col_expr(api_token::Column::UsedAt, Expr::value(Some(now.0)))
        .filter(api_token::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

//! People who may log in.

use domain::Timestamp;
use entity::{api_token, person, session};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::*, sea_query::ExprTrait,
};

use crate::error::Result;

/// One of them.
pub async fn get<C: ConnectionTrait>(db: &C, id: &str) -> Result<Option<person::Model>> {
    Ok(person::Entity::find_by_id(id).one(db).await?)
}

/// All of them, by their names.
pub async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<person::Model>> {
    Ok(person::Entity::find().order_by_asc(person::Column::LoginKey).all(db).await?)
}

/// Who GitHub says it is: by number, which stays; by name, where they were invited and never here.
pub async fn known<C: ConnectionTrait>(db: &C, forge_id: i64, login: &str) -> Result<Option<person::Model>> {
    let by_number = person::Entity::find().filter(person::Column::ForgeId.eq(forge_id)).one(db).await?;
    if by_number.is_some() {
        return Ok(by_number);
    }
    Ok(called(db, login).await?.filter(|p| p.forge_id.is_none()))
}

/// Who is called so, as was last heard.
pub async fn called<C: ConnectionTrait>(db: &C, login: &str) -> Result<Option<person::Model>> {
    Ok(person::Entity::find().filter(person::Column::LoginKey.eq(login.to_lowercase())).one(db).await?)
}

/// Adds somebody.
pub async fn add<C: ConnectionTrait>(db: &C, row: person::Model) -> Result<()> {
    person::Entity::insert(person::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// Writes everything that is known of somebody.
pub async fn keep<C: ConnectionTrait>(db: &C, row: person::Model) -> Result<()> {
    person::ActiveModel::from(row).reset_all().update(db).await?;
    Ok(())
}

/// Remembers when somebody was here.
pub async fn seen<C: ConnectionTrait>(db: &C, id: &str, now: Timestamp) -> Result<()> {
    person::Entity::update_many()
        .col_expr(person::Column::SeenAt, Expr::value(Some(now.0)))
        .filter(person::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Writes down another login at the forge in the place of the one that was read; false where another is there by now.
pub async fn swap_token<C: ConnectionTrait>(db: &C, id: &str, from: &str, to: Option<&str>) -> Result<bool> {
    let swapped = person::Entity::update_many()
        .col_expr(person::Column::Token, Expr::value(to))
        .filter(person::Column::Id.eq(id))
        .filter(person::Column::Token.eq(from))
        .exec(db)
        .await?;
    Ok(swapped.rows_affected == 1)
}

/// Forgets somebody, with their sessions and tokens.
pub async fn remove<C: ConnectionTrait>(db: &C, id: &str) -> Result<bool> {
    end_sessions(db, id).await?;
    api_token::Entity::delete_many().filter(api_token::Column::PersonId.eq(id)).exec(db).await?;
    Ok(person::Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}

/// Those who logged in at the forge and can do something here: in a browser or by a token.
pub async fn with_access<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<Vec<person::Model>> {
    let browsers = session::Entity::find()
        .select_only()
        .column(session::Column::PersonId)
        .filter(session::Column::ExpiresAt.gt(now.0))
        .filter(session::Column::PersonId.is_not_null())
        .into_query();
    let tokens = api_token::Entity::find()
        .select_only()
        .column(api_token::Column::PersonId)
        .filter(api_token::Column::PersonId.is_not_null())
        .into_query();
    let either = person::Column::Id.in_subquery(browsers).or(person::Column::Id.in_subquery(tokens));
    Ok(person::Entity::find().filter(person::Column::Token.is_not_null()).filter(either).all(db).await?)
}

/// Ends somebody's sessions; how many there were.
pub async fn end_sessions<C: ConnectionTrait>(db: &C, id: &str) -> Result<u64> {
    let gone = session::Entity::delete_many().filter(session::Column::PersonId.eq(id)).exec(db).await?;
    Ok(gone.rows_affected)
}

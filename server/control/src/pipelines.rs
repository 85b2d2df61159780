//! Pipelines: groups of services that are tested and deployed together.

use domain::{
    EnvironmentName, PipelineId, Role,
    problem::FieldError,
    view::{Page, Pipeline, Retention},
};
use entity::pipeline;
use sea_orm::{ActiveModelTrait, EntityTrait};

use crate::{
    Actor, Control,
    error::{Error, Result},
    store::{rows, services},
};

impl Control {
    /// Makes what a first start needs: the pipeline "Main".
    pub async fn first_start(&self) -> Result<()> {
        if services::pipelines(self.store.read()).await?.is_empty() {
            self.create_pipeline(&Actor::system(), "Main", None).await?;
        }
        Ok(())
    }

    /// All pipelines.
    pub async fn pipelines(&self) -> Result<Page<Pipeline>> {
        let mut items = Vec::new();
        for row in services::pipelines(self.store.read()).await? {
            let count = services::count(self.store.read(), &row.id).await?;
            items.push(rows::pipeline(row, count)?);
        }
        Ok(Page { items, next: None })
    }

    /// A new pipeline; its environments are `staging` and `production` unless told otherwise.
    pub async fn create_pipeline(
        &self,
        actor: &Actor,
        name: &str,
        environments: Option<Vec<String>>,
    ) -> Result<Pipeline> {
        actor.must(Role::Owner)?;
        let environments = check_environments(environments)?;
        let name = self.check_pipeline_name(name, None).await?;
        let kept = Retention::default();
        let row = pipeline::Model {
            id: self.new_id::<PipelineId>()?.to_string(),
            name,
            environments: serde_json::to_string(&environments)?,
            log_days: kept.log_days as i32,
            log_megabytes: kept.log_megabytes as i64,
            run_days: kept.run_days as i32,
            created_at: self.now().0,
        };
        pipeline::Entity::insert(pipeline::ActiveModel::from(row.clone()))
            .exec_without_returning(self.store.write())
            .await?;
        rows::pipeline(row, 0)
    }

    /// Changes a pipeline.
    pub async fn update_pipeline(
        &self,
        actor: &Actor,
        id: PipelineId,
        name: Option<&str>,
        environments: Option<Vec<String>>,
        retention: Option<Retention>,
    ) -> Result<Pipeline> {
        actor.must(Role::Owner)?;
        let mut row = services::pipeline(self.store.read(), id).await?;
        if let Some(name) = name {
            row.name = self.check_pipeline_name(name, Some(&row.id)).await?;
        }
        if let Some(environments) = environments {
            row.environments = serde_json::to_string(&check_environments(Some(environments))?)?;
        }
        if let Some(kept) = retention {
            check_retention(kept)?;
            row.log_days = kept.log_days as i32;
            row.log_megabytes = kept.log_megabytes as i64;
            row.run_days = kept.run_days as i32;
        }
        pipeline::ActiveModel::from(row.clone()).reset_all().update(self.store.write()).await?;
        let count = services::count(self.store.read(), &row.id).await?;
        rows::pipeline(row, count)
    }

    async fn check_pipeline_name(&self, name: &str, own: Option<&str>) -> Result<String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 100 {
            return Err(Error::field("name", "give 1 to 100 characters"));
        }
        let taken = services::pipelines(self.store.read()).await?;
        if taken.iter().any(|p| p.name == name && Some(p.id.as_str()) != own) {
            return Err(Error::field(
                "name",
                format!("there is a pipeline {name:?} already; choose another name"),
            ));
        }
        Ok(name.to_owned())
    }
}

fn check_retention(kept: Retention) -> Result<()> {
    let mut wrong = Vec::new();
    for (field, given, most) in [
        ("log_days", u64::from(kept.log_days), 3_650),
        ("log_megabytes", kept.log_megabytes, 100_000_000),
        ("run_days", u64::from(kept.run_days), 3_650),
    ] {
        if given > most {
            let message = format!("give a number up to {most}, or 0 for no limit");
            wrong.push(FieldError { field: format!("retention.{field}"), message });
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn check_environments(given: Option<Vec<String>>) -> Result<Vec<String>> {
    let known = EnvironmentName::ALL.map(|e| e.as_str().to_owned());
    let Some(given) = given else { return Ok(known.into()) };
    if given.is_empty() || given.iter().any(|e| !known.contains(e)) {
        return Err(Error::field("environments", "give staging, production, or both"));
    }
    Ok(known.into_iter().filter(|e| given.contains(e)).collect())
}

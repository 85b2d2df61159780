//! What the account may have at once. A new account may have five virtual cores of EC2 (`L-1216C47A`): less than two pipelines ask for, and what is
//! refused for it looks like a cluster without room.

use aws_config::SdkConfig;
use aws_sdk_servicequotas::{Client, error::ProvideErrorMetadata};

use super::{Checked, Found};
use crate::trouble::{Kind, engine_error, kind_of};

/// What is looked at: a name for people, the service and the code of the quota
/// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>, <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html>).
const CORES: [(&str, &str, &str); 2] =
    [("EC2 cores", "ec2", "L-1216C47A"), ("Fargate cores", "fargate", "L-3032A538")];

/// `stage` is what the largest stage may take, in 1024ths of a core, where stages run on EC2.
pub(super) async fn examine(config: &SdkConfig, stage: Option<u32>) -> Vec<Checked> {
    let client = Client::new(config);
    let mut all = Vec::new();
    for (what, service, code) in CORES {
        let stage = stage.filter(|_| service == "ec2");
        all.push(Checked { what, found: quota(&client, service, code, stage).await });
    }
    all
}

async fn quota(client: &Client, service: &str, code: &str, stage: Option<u32>) -> Found {
    match client.get_service_quota().service_code(service).quota_code(code).send().await {
        Ok(found) => match found.quota.and_then(|quota| quota.value) {
            Some(cores) => judge(cores, stage),
            None => Found::Doubtful(format!("AWS does not say how many there may be ({code})")),
        },
        Err(error) => match error.as_service_error().and_then(|e| e.code()).map(kind_of) {
            Some(Kind::Denied) => Found::Doubtful(
                "not looked at: add servicequotas:GetServiceQuota to the role that the server works with, or look in the console".into(),
            ),
            _ => Found::Doubtful(engine_error("it cannot be looked at", &error).to_string()),
        },
    }
}

/// How a number of cores stands beside what the largest stage takes.
fn judge(cores: f64, stage: Option<u32>) -> Found {
    let Some(stage) = stage else { return Found::Good(format!("{cores} at once, for services too")) };
    let one = f64::from(stage) / 1024.0;
    // Both checks of a run go on at once.
    let together = (cores / one).floor();
    if together < 1.0 {
        return Found::Bad(format!(
            "{cores} at once, and the largest stage takes {one}: ask AWS for more in the console of Service Quotas"
        ));
    }
    if together < 4.0 {
        return Found::Doubtful(format!(
            "{cores} at once, room for {together} of the largest stages ({one} each): ask AWS for more in the console of Service Quotas"
        ));
    }
    Found::Good(format!("{cores} at once, room for {together} of the largest stages ({one} each)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_cores_are_told() {
        assert!(matches!(judge(1.0, Some(2048)), Found::Bad(why) if why.contains("takes 2")));
        assert!(matches!(judge(5.0, Some(2048)), Found::Doubtful(why) if why.contains("room for 2")));
        assert!(matches!(judge(64.0, Some(512)), Found::Good(why) if why.contains("room for 128")));
        assert!(matches!(judge(6.0, None), Found::Good(_)));
    }
}

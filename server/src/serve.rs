//! `seamless serve`: opens, wires, listens, works, and ends in order.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use aws::account::Account;
use control::{Control, Limits, Ports, Setup, nodes::Node, store::Store};
use domain::{DeliveryId, protocol::ADDRESSES};
use local::presence;
use metrics_exporter_prometheus::PrometheusBuilder;
use redis::Redis;
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    http::{self, App, Site},
    inbox::Inbox,
    tour, workers,
};

/// The use cases over this machine's own parts.
pub async fn control(config: &Config) -> anyhow::Result<Control> {
    let (store, steps) = Store::open_with(config.database.expose_secret(), config.pool)
        .await
        .map_err(with_causes)
        .context("the database cannot be opened")?;
    if !steps.is_empty() {
        tracing::info!(steps = steps.join(", "), "the database was brought up to date");
    }
    let ports = ports(config).await?;
    let setup = Setup {
        limits: Limits { slots: config.slots, ..Limits::default() },
        hook_command: Some(hook_command(&config.data)?),
        registry: config.registry.clone(),
        node: node(config)?,
        log: config.log,
        url: config.url.clone(),
        allowed: config.allowed.clone(),
        old_keys: config.old_keys.clone(),
        forge_secret: config.github.webhook_secret.clone(),
        tasks_elsewhere: config.engine.is_some() && !config.tasks_here,
    };
    let control = Control::new(store, &config.key, ports, setup);
    if !control.has_the_key().await? {
        tracing::error!(
            "secrets in the database were sealed with another key: set SEAMLESS_SECRET_KEY to that of the other servers, or bring secret.key back"
        );
    }
    control.first_start().await?;
    Ok(control)
}

fn node(config: &Config) -> anyhow::Result<Node> {
    let fresh = || {
        let random = u128::from_le_bytes(control::seal::random::<16>()?);
        let millis = control::wall_clock().0.max(0).cast_unsigned();
        Ok::<_, control::Error>(DeliveryId::from_parts(millis, random).to_string())
    };
    let folder = presence::folder_id(&config.data, &fresh()?).context("the data folder's id")?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(Node { id: fresh()?, folder, host, address: config.local_url(), url: config.url.clone() })
}

/// Keeps the list by which programs on this machine find a server.
pub async fn list(control: &Control, data: &Path) -> control::Result<()> {
    let text = control.alive().await?.join("\n");
    let path = data.join(ADDRESSES);
    if std::fs::read_to_string(&path).unwrap_or_default() == text {
        return Ok(());
    }
    // Whole or not at all: it is read at any moment.
    let draft = path.with_extension(format!("url.{}", std::process::id()));
    std::fs::write(&draft, text)?;
    Ok(std::fs::rename(&draft, &path)?)
}

/// An error of ours says little to users; whoever starts the server needs its causes.
pub fn with_causes(error: control::Error) -> anyhow::Error {
    match error {
        control::Error::Internal(cause) => anyhow::anyhow!("{cause}"),
        error => error.into(),
    }
}

async fn ports(config: &Config) -> anyhow::Result<Ports> {
    let forge = Arc::new(github::GitHub::new(config.github.place.clone(), config.github.credentials.clone()));
    let hot = config.redis.as_ref().map(Redis::connect).transpose();
    let hot = hot.context("REDIS_URL cannot be used; give it such as redis://user:password@host:6379/0")?;
    let executions = config.engine.clone().map(|settings| Arc::new(aws::StepFunctions::new(settings)) as _);
    let ecr = config.ecr();
    let region = ecr.as_ref().map(|ecr| ecr.region.as_str());
    let region = region.or(config.engine.as_ref().and_then(|engine| engine.region())).map(str::to_owned);
    // An account is only looked for where something says that there is one; nobody is asked before a page or a job needs it.
    let account = config.aws || ecr.is_some() || config.engine.is_some();
    let cloud = account.then(|| aws::ecs::EcsCloud::new(Account::usual(region.clone())));
    let images = ecr.map(|ecr| aws::ecr::Ecr::new(Account::in_region(ecr.region.clone()), ecr));
    let notifier =
        config.topics.as_ref().map(|prefix| aws::sns::Sns::new(Account::usual(region), prefix.clone()));
    Ok(Ports {
        executions,
        launcher: Arc::new(local::ProcessLauncher::of_this_program(&config.data, config.local_url())?),
        git: Arc::new(local::git::CommandGit::new(&config.data).with_forge(forge.clone())),
        host: Arc::new(local::ThisHost::new(local::Keepers::of_this_program(&config.data)?)),
        forge,
        identity: identity(config)?,
        hot: hot.map(|redis| Arc::new(redis) as _),
        images: images.map(|images| Arc::new(images) as _),
        cloud: cloud.map(|cloud| Arc::new(cloud) as _),
        notifier: notifier.map(|notifier| Arc::new(notifier) as _),
    })
}

/// Where people log in, if there is an app for it.
fn identity(config: &Config) -> anyhow::Result<Option<Arc<dyn control::identity::Identity>>> {
    let Some((id, secret)) = &config.github.sign_in else { return Ok(None) };
    let redirect = format!("{}{}", config.url, http::auth::CALLBACK);
    let sign_in = github::SignIn::new(&config.github.place, id, secret, redirect)
        .map_err(|e| anyhow::anyhow!("SEAMLESS_URL or GITHUB_URL is no address: {e}"))?;
    Ok(Some(Arc::new(sign_in)))
}

fn hook_command(data: &Path) -> anyhow::Result<String> {
    let exe = std::env::current_exe()?;
    Ok(format!("{} hook --data {}", quoted(&exe), quoted(data)))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Serves until told to stop.
pub async fn serve(config: Config, with_demo: bool) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another server running there? Set SEAMLESS_LISTEN to another address",
            config.listen
        )
    })?;
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
    let control = control(&config).await?;
    let inbox = Inbox::open(&config.data)?;
    let site = match Site::read(&config.site) {
        Ok(site) => Some(Arc::new(site)),
        Err(error) => {
            tracing::warn!(%error, "the dashboard is not there; the API is");
            None
        }
    };
    let shutdown = CancellationToken::new();
    let tracker = TaskTracker::new();
    let _presence = presence::Presence::take(&config.data, control.node()).context("the data folder")?;
    list(&control, &config.data).await?;
    let app = App {
        control: control.clone(),
        config: Arc::new(config.clone()),
        shutdown: shutdown.clone(),
        metrics,
        inbox: inbox.clone(),
        site,
    };
    workers::start(&control, inbox, &config.data, &tracker, &shutdown);
    if with_demo {
        let (control, config) = (control.clone(), config.clone());
        tracker.spawn(async move {
            if let Err(error) = tour::connect(&control, &config.data).await {
                tracing::error!(error = format!("{error:#}"), "the demo could not be set up");
            }
        });
    }
    let link = control.new_login_link().await?;
    println!("Seamless listens on {} (ready after {} ms)", config.url, begun.elapsed().as_millis());
    println!("Log in once, within 15 minutes: {}/login/{}", config.url, link.expose_secret());
    let ending = shutdown.clone();
    tokio::spawn(async move {
        stopped().await;
        println!("Ending; runs and deployed services go on without the server.");
        ending.cancel();
    });
    let ending = shutdown.clone();
    let server = axum::serve(listener, http::router(app))
        .with_graceful_shutdown(async move { ending.cancelled().await });
    tokio::select! {
        served = server => served?,
        // A request that hangs must not keep the server from ending.
        () = async { shutdown.cancelled().await; tokio::time::sleep(Duration::from_secs(10)).await } => {}
    }
    shutdown.cancel();
    tracker.close();
    if tokio::time::timeout(Duration::from_secs(10), tracker.wait()).await.is_err() {
        tracing::warn!("some work did not end in time; it is taken up at the next start");
    }
    if let Err(error) = control.leave().await {
        tracing::warn!(%error, "others were not told that this server ends");
    }
    Ok(())
}

async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

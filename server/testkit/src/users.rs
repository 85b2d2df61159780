//! Somebody who uses a deployed service while things happen to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::Api;

/// Somebody who uses the service all the while.
#[derive(Debug)]
pub struct Users {
    over: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Option<String>>>,
}

impl Users {
    /// Asks a port again and again.
    pub fn of(api: &Api, port: u16) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asking = tokio::spawn({
            let (api, over, url) = (api.clone(), over.clone(), format!("http://127.0.0.1:{port}/"));
            async move {
                let mut answers = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    answers.push(api.plain(&url).await);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answers
            }
        });
        Self { over, asking }
    }

    /// Every request was answered.
    ///
    /// # Panics
    /// When one was not.
    pub async fn were_served(self) {
        self.over.store(true, Ordering::Relaxed);
        let answers = self.asking.await.unwrap();
        let failed = answers.iter().filter(|a| a.is_none()).count();
        assert!(!answers.is_empty());
        assert_eq!(failed, 0, "{failed} of {} requests failed", answers.len());
    }
}

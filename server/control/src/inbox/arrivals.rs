//! Deliveries on their way into the database: those that come at the same time are stored in one transaction, so that a flood of
//! them costs few writes to the disk. Each caller is answered only after its own is stored.

use std::sync::{Mutex, PoisonError};

use entity::delivery;
use tokio::sync::{Mutex as Turn, oneshot};

use crate::{
    error::{Error, Result},
    store::{Store, deliveries},
};

/// Most deliveries in one transaction.
const MOST: usize = 200;

type Waiting = (delivery::Model, oneshot::Sender<bool>);

/// See the module.
#[derive(Default)]
pub struct Arrivals {
    waiting: Mutex<Vec<Waiting>>,
    turn: Turn<()>,
}

impl Arrivals {
    /// Stores a delivery; false when its GUID is known.
    pub async fn store(&self, store: &Store, row: delivery::Model) -> Result<bool> {
        let (told, mut answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((row, told));
        // Whoever has the turn stores for all who wait; most find theirs done when the turn is theirs.
        let _turn = self.turn.lock().await;
        loop {
            match answer.try_recv() {
                Ok(fresh) => return Ok(fresh),
                Err(oneshot::error::TryRecvError::Empty) => self.store_some(store).await?,
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(Error::Unavailable("the delivery could not be stored; send it again".into()));
                }
            }
        }
    }

    async fn store_some(&self, store: &Store) -> Result<()> {
        let some: Vec<Waiting> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let most = waiting.len().min(MOST);
            waiting.drain(..most).collect()
        };
        let tx = store.begin().await?;
        let mut answers = Vec::with_capacity(some.len());
        for (row, told) in some {
            answers.push((deliveries::insert(&tx, row).await?, told));
        }
        tx.commit().await?;
        for (fresh, told) in answers {
            let _ = told.send(fresh);
        }
        Ok(())
    }
}

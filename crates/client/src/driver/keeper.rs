//! The store, behind a door that lets async code in: every call runs on a thread that may block.

use std::sync::{Arc, Mutex};

use crate::{
    error::{ClientError, ErrorKind},
    store::{Answer, Capacity, Change, Loaded, LocalStore, StoreError, StoredEvent},
};

pub(crate) struct Keeper(Arc<Mutex<Box<dyn LocalStore>>>);

impl Keeper {
    pub fn new(store: Box<dyn LocalStore>) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    pub async fn load(&self) -> Result<Loaded, ClientError> {
        self.run(|store| store.load()).await
    }

    pub async fn commit(&self, change: Change) -> Result<(), ClientError> {
        self.run(move |store| store.commit(&change)).await
    }

    pub async fn answer(&self, send_no: u64) -> Result<Option<Answer>, ClientError> {
        self.run(move |store| store.answer(send_no)).await
    }

    pub async fn events(&self, after: u64, page: Capacity) -> Result<Vec<(u64, StoredEvent)>, ClientError> {
        self.run(move |store| store.events(after, page)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn LocalStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let store = Arc::clone(&self.0);
        let work = move || {
            let mut store = store.lock().map_err(|_| StoreError::Damaged { what: "an earlier call panicked" })?;
            work(&mut **store)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(|error| ClientError::with(ErrorKind::Store, "the local store failed", error)),
            Err(error) => Err(ClientError::with(ErrorKind::Store, "the local store could not be called", error)),
        }
    }
}

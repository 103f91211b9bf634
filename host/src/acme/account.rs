use std::io;
use std::path::{Path, PathBuf};

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use super::client::Client;
use super::failure::Failure;
use crate::config;
use crate::io::{put_aside, read_bounded, replace_private_file};

/// The account with an authority, whose key outlives the process.
#[derive(Debug)]
pub(super) struct KeptAccount {
    file: PathBuf,
    /// What is in the file.
    text: Option<String>,
}

const FILE: &str = "account.json";
const FILE_BYTES: u64 = 64 << 10;

impl KeptAccount {
    /// In this directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self { file: directory.join(FILE), text: None }
    }

    /// The account that there is, or a new one.
    pub(super) async fn get(&mut self, config: &config::Acme, client: &Client) -> Result<Account, Failure> {
        if self.text.is_none() {
            self.text = self.read().await?;
        }
        if let Some(text) = &self.text {
            match serde_json::from_str::<AccountCredentials>(text) {
                Ok(credentials) => {
                    let builder = Account::builder_with_http(Box::new(client.clone()));
                    return builder.from_credentials(credentials).await.map_err(|error| Failure::of(&error));
                }
                Err(error) => self.put_aside(&format!("it cannot be read: {error}")).await,
            }
        }
        self.create(config, client).await
    }

    /// Does not use the account any more, which the authority does not know.
    pub(super) async fn forget(&mut self) {
        self.put_aside("the authority does not know it (any more)").await;
    }

    async fn create(&mut self, config: &config::Acme, client: &Client) -> Result<Account, Failure> {
        let contact = config.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = config.external_account.as_ref();
        let external = external.map(|account| ExternalAccountKey::new(account.key_id.clone(), &account.hmac_key));
        let (account, credentials) = Account::builder_with_http(Box::new(client.clone()))
            .create(&wanted, config.directory.clone(), external.as_ref())
            .await
            .map_err(|error| Failure::of(&error))?;
        let text = serde_json::to_string(&credentials).map_err(|error| Failure::new(error.to_string()))?;
        let (file, contents) = (self.file.clone(), text.clone());
        let shown = file.display().to_string();
        on_disk(move || replace_private_file(&file, contents.as_bytes()))
            .await
            .map_err(|error| Failure::new(format!("keeping the account in {shown} failed: {error}")))?;
        tracing::info!(directory = config.directory, account = account.id(), "there is a new ACME account");
        self.text = Some(text);
        Ok(account)
    }

    async fn read(&self) -> Result<Option<String>, Failure> {
        let file = self.file.clone();
        match on_disk(move || read_bounded(&file, FILE_BYTES)).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format!("reading {} failed: {error}", self.file.display()))),
        }
    }

    async fn put_aside(&mut self, why: &str) {
        self.text = None;
        let file = self.file.clone();
        let shown = file.display().to_string();
        let done = on_disk(move || Ok(put_aside(&file))).await.unwrap_or_else(|error| error.to_string());
        tracing::warn!(file = shown, "the ACME account is not used: {why}; {done}");
    }
}

/// On a thread where nothing waits for it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten()
}

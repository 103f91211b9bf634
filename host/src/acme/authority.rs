use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier};
use rustls::pki_types::Der;
use tokio::sync::{Mutex, Semaphore};

use super::account::KeptAccount;
use super::client::Client;
use super::failure::Failure;
use super::issued::Issued;
use super::order::order;
use super::renewal::{Renewal, Window};
use crate::config::{self, AcmeNames, Challenge, TlsPolicy};
use crate::tls::{Certificate, Challenges, SystemRoots, UpstreamTls};

/// Whom certificates are ordered from.
#[derive(Debug)]
pub struct Authority {
    config: config::Acme,
    tls: UpstreamTls,
    challenges: Arc<Challenges>,
    directory: PathBuf,
    account: Mutex<KeptAccount>,
    /// Orders at a time.
    orders: Semaphore,
}

const ORDERS: usize = 4;
/// A whole order, with all that is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

impl Authority {
    /// `kept` is where all certificates are kept; what comes from this one is in a directory of its own below that. Fails with
    /// what is wrong with its roots.
    pub fn new(config: config::Acme, kept: &Path, challenges: Arc<Challenges>) -> Result<Self, String> {
        let tls = config::UpstreamTls {
            ca: config.ca.clone(),
            crl: None,
            server_name: None,
            certificate: None,
            verifies: true,
            policy: TlsPolicy::Intermediate,
        };
        let tls = UpstreamTls::new(&tls, &mut SystemRoots::default()).map_err(|(_key, message)| message)?;
        let directory = kept.join("acme").join(file_name(&config.directory));
        Ok(Self {
            account: Mutex::new(KeptAccount::new(&directory)),
            orders: Semaphore::new(ORDERS),
            config,
            tls,
            challenges,
            directory,
        })
    }

    pub fn config(&self) -> &config::Acme {
        &self.config
    }

    /// Where its certificates are kept.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Orders a certificate by a challenge, after those that were ordered before. `replaces` is the one that there is.
    pub async fn order(
        &self,
        names: &AcmeNames,
        challenge: Challenge,
        replaces: Option<&Certificate>,
    ) -> Result<Issued, Failure> {
        let Ok(_one_of_few) = self.orders.acquire().await else { return Err(Failure::new("nothing is ordered now")) };
        let client = Client::new(self.tls.clone());
        let ordering = async {
            let failure = match self.try_order(&client, names, challenge, replaces).await {
                Err(failure) if failure.is_unknown_account => failure,
                done => return done,
            };
            tracing::debug!("the authority does not know the account: {failure}");
            self.account.lock().await.forget().await;
            self.try_order(&client, names, challenge, replaces).await
        };
        let ordered = tokio::time::timeout(PATIENCE, ordering).await;
        let ordered = ordered.unwrap_or_else(|_| Err(Failure::new(format!("no certificate within {PATIENCE:?}"))));
        ordered.map_err(|failure| Failure { retry_after: client.retry_after(), ..failure })
    }

    async fn try_order(
        &self,
        client: &Client,
        names: &AcmeNames,
        challenge: Challenge,
        replaces: Option<&Certificate>,
    ) -> Result<Issued, Failure> {
        let account = self.account(client).await?;
        let replaces = replaces.and_then(identifier);
        order(&account, names, challenge, replaces, &self.challenges).await
    }

    async fn account(&self, client: &Client) -> Result<Account, Failure> {
        self.account.lock().await.get(&self.config, client).await
    }

    /// When a certificate is to be renewed, as the authority says, or else as we do. `chosen` is what was found the last time.
    pub async fn renewal(&self, certificate: &Certificate, chosen: Option<Window>) -> Renewal {
        let Some(identifier) = identifier(certificate) else { return Renewal::by_lifetime(certificate) };
        let asking = async {
            let client = Client::new(self.tls.clone());
            let account = self.account(&client).await?;
            account.renewal_info(&identifier).await.map_err(|error| Failure::of(&error))
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok((told, look_again))) => {
                let (start, end) = (told.suggested_window.start, told.suggested_window.end);
                Renewal::by_window(start.unix_timestamp(), end.unix_timestamp(), look_again, chosen)
            }
            Ok(Err(failure)) => {
                tracing::debug!(name = certificate.name(), "the authority does not say when to renew: {failure}");
                Renewal::by_lifetime(certificate)
            }
            Err(_) => Renewal::by_lifetime(certificate),
        }
    }
}

/// By which the authority knows a certificate (RFC 9773 section 4.1).
fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let (authority, serial) = certificate.identifier()?;
    Some(CertificateIdentifier::new(Der::from(authority), Der::from(serial)).into_owned())
}

/// A URL as the name of a directory.
fn file_name(url: &str) -> String {
    let plain = |of: char| if of.is_ascii_alphanumeric() || of == '.' || of == '-' { of } else { '_' };
    url.trim_start_matches("https://").chars().map(plain).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_name_of_one_directory() {
        let staging = file_name("https://acme-staging-v02.api.letsencrypt.org/directory");
        assert_eq!(staging, "acme-staging-v02.api.letsencrypt.org_directory");
        assert_eq!(file_name("https://127.0.0.1:14000/../dir"), "127.0.0.1_14000_.._dir");
    }
}

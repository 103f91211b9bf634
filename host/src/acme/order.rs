use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::failure::Failure;
use super::issued::Issued;
use crate::config::{AcmeNames, Challenge};
use crate::tls::{Challenges, OpenChallenge};

/// How often, and how long, the authority is asked how far it is.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// One order, from its beginning to the certificate (RFC 8555 section 7.1).
pub(super) async fn order(
    account: &Account,
    names: &AcmeNames,
    challenge: Challenge,
    replaces: Option<CertificateIdentifier<'_>>,
    challenges: &Arc<Challenges>,
) -> Result<Issued, Failure> {
    let told = |error: Error| Failure::of(&error);
    let mut order = begin(account, names, replaces).await?;
    // They are answered up to the end of this function.
    let _open = answer(&mut order, challenge, challenges).await?;
    match order.poll_ready(&POLLS).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(_) => return Err(why_invalid(&mut order, challenge, None).await),
        Err(error) => return Err(why_invalid(&mut order, challenge, Some(error)).await),
    }
    let made = |error: rcgen::Error| Failure::new(format!("making a request for a certificate failed: {error}"));
    let key = KeyPair::generate().map_err(made)?;
    let mut params = CertificateParams::new(names.0.clone()).map_err(made)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(made)?;
    order.finalize_csr(request.der()).await.map_err(told)?;
    let chain = order.poll_certificate(&POLLS).await.map_err(told)?;
    Ok(Issued { chain, key: key.serialize_pem() })
}

async fn begin(
    account: &Account,
    names: &AcmeNames,
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<Order, Failure> {
    let identifiers: Vec<Identifier> = names.0.iter().map(|name| Identifier::Dns(name.clone())).collect();
    if let Some(replaces) = replaces {
        match account.new_order(&NewOrder::new(&identifiers).replaces(replaces)).await {
            Ok(order) => return Ok(order),
            // What it says about who is replaced is a hint (RFC 9773 section 5); the certificate is wanted all the same.
            Err(error) => tracing::debug!(%names, "an order that names what it replaces failed: {error}"),
        }
    }
    account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| Failure::of(&error))
}

/// Answers the challenges of an order, and tells the authority that it may look.
async fn answer(
    order: &mut Order,
    wanted: Challenge,
    challenges: &Arc<Challenges>,
) -> Result<Vec<OpenChallenge>, Failure> {
    let told = |error: Error| Failure::of(&error);
    let mut open = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(told)?;
        let Identifier::Dns(name) = authorization.identifier().identifier.clone() else { continue };
        match authorization.status {
            AuthorizationStatus::Pending => {}
            // Proven not long ago.
            AuthorizationStatus::Valid => continue,
            status => return Err(Failure::new(format!("the authorization for {name} is {status:?}"))),
        }
        let kind = match wanted {
            Challenge::Http01 => ChallengeType::Http01,
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(Failure::new(format!("the authority does not offer {} for {name}", wanted.as_str())));
        };
        let key_authorization = challenge.key_authorization();
        open.push(match wanted {
            Challenge::Http01 => challenges.open_http(&challenge.token, key_authorization.as_str()),
            Challenge::TlsAlpn01 => challenges
                .open_tls(&name, key_authorization.digest().as_ref())
                .map_err(|error| Failure::new(format!("making what answers a challenge failed: {error}")))?,
        });
        challenge.set_ready().await.map_err(told)?;
    }
    Ok(open)
}

/// Why an order has come to nothing: what its challenges say of it, or else itself.
async fn why_invalid(order: &mut Order, wanted: Challenge, error: Option<Error>) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() || authorization.status != AuthorizationStatus::Invalid {
            continue;
        }
        let failed = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        let name = authorization.identifier().to_string();
        return Failure::of_challenge(&name, wanted, failed);
    }
    match error {
        Some(Error::Timeout(_)) => Failure::new("the authority has not looked at the challenges in time"),
        Some(error) => Failure::of(&error),
        None => Failure::new("the authority does not say why the order is invalid"),
    }
}

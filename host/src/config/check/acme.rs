use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Uri;

use super::{CA_FILE_BYTES, Checker};
use crate::config::model::{Acme, AcmeNames, Challenge, ExternalAccount, Listener, Protocol, StatePath};
use crate::config::schema;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Of a DNS name and of each of its labels (RFC 1035 section 2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

impl Checker<'_> {
    /// From whom certificates are ordered, which the listeners want or do not want.
    pub(super) fn acme(
        &mut self,
        acme: Option<schema::Acme>,
        listeners: &[Listener],
        kept: &StatePath,
    ) -> Option<Acme> {
        let orders = listeners.iter().filter_map(|listener| listener.tls.as_ref()).find(|tls| !tls.acme.is_empty());
        let Some(acme) = acme else {
            if let Some(tls) = orders {
                let message = "needs the section `acme`, with `terms_of_service_agreed: true`";
                self.mistake(&format!("{}/acme", tls.pointer), message);
            }
            return None;
        };
        if !acme.terms_of_service_agreed {
            let message =
                "nobody issues certificates to those who do not agree to their terms; read them, then say `true`";
            self.mistake("/acme/terms_of_service_agreed", message);
        }
        if orders.is_some() && *kept == StatePath::Off {
            let message = "with `acme` certificates have to be kept: ordering them anew at every start soon meets the \
                           authority's limits";
            self.mistake("/certificates_dir", message);
        }
        let directory = acme.directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned());
        let is_url =
            directory.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
        if !is_url {
            self.mistake(
                "/acme/directory",
                format!("expected a URL that begins with `https://`, found \"{directory}\""),
            );
        }
        let ca = acme.ca_file.and_then(|file| self.read_at_most("/acme/ca_file", &file, CA_FILE_BYTES));
        if let Some(email) = acme.email.as_deref().filter(|email| !is_email(email)) {
            let message = format!("expected an address such as admin@example.com, found \"{email}\"");
            self.mistake("/acme/email", message);
        }
        let in_the_clear = |listener: &Listener| {
            listener.protocol == Protocol::Http
                && listener.tls.is_none()
                && listener.bind.iter().any(|bind| bind.port() == 80)
        };
        let challenges = match acme.challenges {
            Some(given) => given.into_iter().map(challenge).collect(),
            None if listeners.iter().any(in_the_clear) => vec![Challenge::Http01, Challenge::TlsAlpn01],
            None => vec![Challenge::TlsAlpn01, Challenge::Http01],
        };
        let external_account = acme.external_account.and_then(|account| self.external_account(account));
        Some(Acme { directory, email: acme.email, ca, challenges, external_account })
    }

    fn external_account(&mut self, account: schema::ExternalAccount) -> Option<ExternalAccount> {
        let text = self.read("/acme/external_account/hmac_key_file", &account.hmac_key_file)?;
        match BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')) {
            Ok(hmac_key) if !hmac_key.is_empty() => Some(ExternalAccount { key_id: account.key_id, hmac_key }),
            _ => {
                self.mistake("/acme/external_account/hmac_key_file", "the file has no key in base64url");
                None
            }
        }
    }

    /// The certificates that a listener has ordered.
    pub(super) fn acme_certificates(&mut self, path: &str, certificates: &[schema::AcmeCertificate]) -> Vec<AcmeNames> {
        let mut checked = Vec::new();
        for (index, certificate) in certificates.iter().enumerate() {
            let mut names: Vec<String> = Vec::new();
            for (position, name) in certificate.names.iter().enumerate() {
                if let Some(message) = wrong_with(name) {
                    self.mistake(&format!("{path}/{index}/names/{position}"), message);
                }
                let name = name.to_ascii_lowercase();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            checked.push(AcmeNames(names));
        }
        checked
    }
}

fn challenge(challenge: schema::Challenge) -> Challenge {
    match challenge {
        schema::Challenge::Http01 => Challenge::Http01,
        schema::Challenge::TlsAlpn01 => Challenge::TlsAlpn01,
    }
}

/// Why no certificate can be ordered for a name.
fn wrong_with(name: &str) -> Option<String> {
    if name.starts_with("*.") {
        return Some(format!(
            "\"{name}\" is a wildcard, which takes the challenge dns-01, and that is not offered: give its names one by one"
        ));
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some(format!("\"{name}\" is an address; certificates are ordered for names only"));
    }
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = name.len() <= NAME_BYTES && name.split('.').all(is_label);
    (!is_name).then(|| format!("expected a DNS name such as example.com (others as `xn--...`), found \"{name}\""))
}

/// What can stand in a URL `mailto:` without more ado (RFC 8555 section 7.3).
fn is_email(email: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b",;?&%<>\"".contains(&byte);
    email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && email.bytes().all(is_plain)
}

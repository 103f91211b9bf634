use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::certificate::fingerprint;
use crate::telemetry::ClientCertificate;

/// Names that are told of a certificate.
const NAMES: usize = 64;

/// Whose certificate it is, of a client that has been verified. None when it cannot be read, which the verifier could.
pub fn identity(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    let fingerprint = fingerprint(certificate);
    let subject = parsed.subject().to_string();
    let mut known = Vec::new();
    let names = parsed.subject_alternative_name().ok().flatten();
    for name in names.into_iter().flat_map(|names| &names.value.general_names).take(NAMES) {
        let (key, name) = match name {
            GeneralName::URI(uri) => ("URI", uri),
            GeneralName::DNSName(name) => ("DNS", name),
            _ => continue,
        };
        known.push(format!("{key}={}", if is_plain(name) { (*name).to_owned() } else { quoted(name) }));
    }
    let names = known.join(";");
    let separator = if names.is_empty() { "" } else { ";" };
    let told = format!("Hash={fingerprint};Subject={}{separator}{names}", quoted(&subject));
    let forwarded = HeaderValue::try_from(told).ok()?;
    Some(ClientCertificate { subject: subject.into(), names: names.into(), fingerprint: fingerprint.into(), forwarded })
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic() && !b",;=\"\\".contains(&byte))
}

/// In quotes, with what has a meaning there behind a backslash, and `?` for what a field cannot have.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_end_its_own_quotes() {
        assert_eq!(quoted("CN=a\", Hash=\\b\r\n\u{e4}"), "\"CN=a\\\", Hash=\\\\b???\"");
        assert!(is_plain("spiffe://a/b") && !is_plain("a;Hash") && !is_plain("a b") && !is_plain("a,b"));
    }
}

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config;
use crate::io::read_bounded;

/// Largest file of a certificate, with all that lead to its root.
const CHAIN_BYTES: u64 = 256 << 10;
const KEY_BYTES: u64 = 64 << 10;
const OCSP_BYTES: u64 = 64 << 10;

/// A certificate with its key, ready to be used, and what it says of itself.
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names that it is for, in lower case, wildcards among them.
    pub names: Vec<Box<str>>,
    pub addresses: Vec<IpAddr>,
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal, as OpenSSL shows it.
    pub serial: String,
    /// In seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads the files of the configuration. Fails with what is wrong, for people.
    pub fn read(files: &config::Certificate) -> Result<Self, String> {
        let read = |path: &Path, limit| {
            read_bounded(path, limit).map_err(|error| format!("reading {} failed: {error}", path.display()))
        };
        let (chain, key) = (read(&files.cert_file, CHAIN_BYTES)?, read(&files.key_file, KEY_BYTES)?);
        let ocsp = files.ocsp_file.as_deref().map(|file| read(file, OCSP_BYTES)).transpose()?;
        Self::from_pem(&chain, &key, ocsp)
    }

    /// A chain and its key in PEM, and a signed answer of OCSP in DER (RFC 6960 section 4.2) to be stapled. Chain and key may
    /// stand in one text.
    pub fn from_pem(chain: &[u8], key: &[u8], ocsp: Option<Vec<u8>>) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("there is no private key in PEM that can be read: {error}"))?;
        Self::new(chain, key, ocsp)
    }

    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ocsp: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let Some(leaf) = chain.first().cloned() else {
            return Err("there is no certificate in PEM (`-----BEGIN CERTIFICATE-----`)".into());
        };
        if ocsp.as_ref().is_some_and(|ocsp| ocsp.first() != Some(&DER_SEQUENCE)) {
            return Err("the OCSP response is not in DER, as `openssl ocsp -respout` writes it".into());
        }
        let names = EndEntityCert::try_from(&leaf)
            .map_err(|error| format!("the certificate cannot be used: {error}"))?
            .valid_dns_names()
            .map(|name| name.to_ascii_lowercase().into())
            .collect();
        let (_, read) =
            X509Certificate::from_der(&leaf).map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let provider = aws_lc_rs::default_provider();
        let mut key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
            error => format!("the key cannot be used: {error}"),
        })?;
        key.ocsp = ocsp;
        Ok(Self {
            names,
            addresses: addresses(&read),
            subject: read.subject().to_string(),
            issuer: read.issuer().to_string(),
            serial: hexadecimal(read.raw_serial()).to_uppercase(),
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
            fingerprint: fingerprint(&leaf),
            key: Arc::new(key),
        })
    }

    /// `not_before <= now < not_after`, in seconds since 1970.
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// What it is called by: the first of its names, or its subject when it has none.
    pub fn name(&self) -> &str {
        self.names.first().map_or(&self.subject, |name| name)
    }

    /// Which authority key has signed it, and its serial number, as they stand in it.
    pub fn identifier(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (_, read) = X509Certificate::from_der(self.key.cert.first()?).ok()?;
        let authority = read.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(of) => of.key_identifier.as_ref().map(|key| key.0.to_vec()),
            _ => None,
        })?;
        Some((authority, read.raw_serial().to_vec()))
    }

    /// Whether it is for this host (RFC 9525 section 6.3): a name in lower case, or an address.
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let is_it = |name: &str| match (name.strip_prefix("*."), host.split_once('.')) {
            (Some(parent), Some((_, of_host))) => parent == of_host,
            _ => name == host,
        };
        self.names.iter().any(|name| is_it(name))
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// With which every value in DER that has parts begins.
const DER_SEQUENCE: u8 = 0x30;

fn addresses(certificate: &X509Certificate<'_>) -> Vec<IpAddr> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let address = |name: &GeneralName<'_>| match name {
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(address).collect()
}

/// SHA-256 of a certificate, hexadecimal.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hexadecimal(&Sha256::digest(certificate))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::acme::Issued;
use crate::config::AcmeNames;
use crate::io::{read_bounded, replace_private_file};
use crate::tls::{Certificate, unix_seconds};

/// What is kept of a certificate that is ordered.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) trouble: Option<Trouble>,
}

/// What went wrong with the orders of a certificate since one went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) message: String,
    /// How often in a row.
    pub(super) failures: u32,
    /// When the next one begins, in seconds since 1970.
    pub(super) retry_at: i64,
    /// Whether that is what the authority wants.
    pub(super) is_imposed: bool,
}

/// Of a chain with its key.
const PEM_BYTES: u64 = 320 << 10;
const TROUBLE_BYTES: u64 = 64 << 10;
/// A start does not wait for the next try while fewer than so many have failed: whoever has changed something starts again.
const FREE_STARTS: u32 = 3;

/// What a directory keeps of a certificate. What cannot be used is told, and ordered anew.
pub(super) fn read(directory: &Path, names: &AcmeNames) -> Kept {
    let path = path(directory, names, "pem");
    let read = match read_bounded(&path, PEM_BYTES) {
        Ok(text) => Some(Certificate::from_pem(&text, &text, None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    };
    let certificate = match read {
        Some(Ok(certificate)) => Some(Arc::new(certificate)),
        Some(Err(error)) => {
            tracing::error!("the certificate in {} cannot be used, and is ordered anew: {error}", path.display());
            None
        }
        None => None,
    };
    let trouble = read_bounded(&self::path(directory, names, "json"), TROUBLE_BYTES).ok();
    let trouble = trouble.and_then(|text| serde_json::from_slice::<Trouble>(&text).ok()).map(|trouble| {
        let waits = trouble.is_imposed || trouble.failures >= FREE_STARTS;
        Trouble { retry_at: if waits { trouble.retry_at } else { 0 }, ..trouble }
    });
    Kept { certificate, trouble }
}

/// Keeps what was issued, with its key, and that nothing is wrong any more. What cannot be used replaces nothing.
pub(super) fn write(directory: &Path, names: &AcmeNames, issued: &Issued) -> Result<Certificate, String> {
    let text = format!("{}\n{}", issued.chain.trim_end(), issued.key);
    let certificate = Certificate::from_pem(text.as_bytes(), text.as_bytes(), None)?;
    if let Some(missing) = names.0.iter().find(|name| !certificate.covers(name)) {
        return Err(format!("the authority has issued a certificate that is not for {missing}"));
    }
    if !certificate.is_valid_at(unix_seconds()) {
        return Err("what was issued is not valid now by the clock of this machine; see that it is right".to_owned());
    }
    let path = path(directory, names, "pem");
    replace_private_file(&path, text.as_bytes())
        .map_err(|error| format!("keeping it in {} failed: {error}", path.display()))?;
    // There was none, mostly.
    let _ = std::fs::remove_file(self::path(directory, names, "json"));
    Ok(certificate)
}

/// Keeps what went wrong, so that no start again and again is an order again and again.
pub(super) fn write_trouble(directory: &Path, names: &AcmeNames, trouble: &Trouble) -> io::Result<()> {
    let text = serde_json::to_vec(trouble).map_err(io::Error::other)?;
    replace_private_file(&path(directory, names, "json"), &text)
}

/// A file that is called by the first of the names, since people look for it.
fn path(directory: &Path, names: &AcmeNames, ending: &str) -> PathBuf {
    let first = names.0.first().map(String::as_str).unwrap_or_default();
    let others = match names.0.len() {
        0 | 1 => String::new(),
        _ => format!(
            "+{}",
            Sha256::digest(names.to_string())[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        ),
    };
    directory.join(format!("{first}{others}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_only_where_too_much_has_failed() {
        let directory = std::env::temp_dir().join(format!("plimsoll-kept-orders-{}", std::process::id()));
        let names = AcmeNames(vec!["a.test".to_owned(), "b.test".to_owned()]);
        let mut trouble = Trouble { message: "no".to_owned(), failures: 2, retry_at: 100, is_imposed: false };
        for (failures, is_imposed, retry_at) in [(2, false, 0), (2, true, 100), (3, false, 100)] {
            (trouble.failures, trouble.is_imposed) = (failures, is_imposed);
            write_trouble(&directory, &names, &trouble).expect("room");
            let kept = read(&directory, &names);
            assert_eq!(kept.trouble, Some(Trouble { retry_at, ..trouble.clone() }));
            assert!(kept.certificate.is_none());
        }
        assert_eq!(read(&directory, &AcmeNames(vec!["a.test".to_owned()])).trouble, None, "another certificate");
        std::fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_cannot_be_used_replaces_nothing() {
        let directory = std::env::temp_dir().join(format!("plimsoll-kept-certificates-{}", std::process::id()));
        let names = AcmeNames(vec!["a.test".to_owned()]);
        let issued = |name: &str, from_year| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
            params.not_before = rcgen::date_time_ymd(from_year, 1, 1);
            let chain = params.self_signed(&key).expect("a certificate").pem();
            Issued { chain, key: key.serialize_pem() }
        };
        let good = write(&directory, &names, &issued("a.test", 2020)).expect("good");
        for (bad, why) in [(issued("a.test", 4000), "not valid now"), (issued("b.test", 2020), "not for a.test")] {
            let refused = write(&directory, &names, &bad).expect_err("bad");
            assert!(refused.contains(why), "{refused}");
            assert_eq!(read(&directory, &names).certificate.expect("kept").serial, good.serial);
        }
        std::fs::remove_dir_all(&directory).expect("cleaned up");
    }
}

//! Whose components are loaded: where the configuration names keys, those that somebody has signed with one of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minisign_verify::{PublicKey, Signature};

use crate::io::read_bounded;

/// What minisign writes has some 300, and a trusted comment of up to 8 KiB.
const MAX_SIGNATURE_BYTES: usize = 16 << 10;

/// A component with the signature that came with it, as minisign writes it.
#[derive(Clone, Debug)]
pub struct Component {
    pub bytes: Arc<[u8]>,
    pub signature: Option<Arc<str>>,
}

/// Keys of which one must have signed a component. Without any, none need be signed.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct TrustedKeys(Arc<[PublicKey]>);

/// Why a component is not loaded for its signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "it is not signed, and `plugin_keys` asks for it: `minisign -Sm FILE` signs a component; FILE.minisig goes beside the file, or \
         with an upload as `signature`"
    )]
    Missing,
    #[error("its signature is not one that minisign writes: {0}")]
    Unreadable(String),
    #[error("it is signed with a key that is not among `plugin_keys`")]
    Untrusted,
    #[error("its signature is not one of these bytes: sign the component as it is now")]
    Wrong,
}

impl Component {
    /// A component in a file, with what is in the file of its signature.
    pub fn beside(path: &Path, bytes: impl Into<Arc<[u8]>>) -> io::Result<Self> {
        let signature = match read_bounded(&signature_path(path), MAX_SIGNATURE_BYTES as u64) {
            Ok(text) => Some(String::from_utf8_lossy(&text).into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { bytes: bytes.into(), signature })
    }

    /// What nobody has signed.
    pub(super) fn unsigned(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into(), signature: None }
    }
}

/// Largest component that is taken, in bytes; what may be loaded of it is the engine's to say, with less.
pub const MOST_COMPONENT_BYTES: usize = 33 << 20;

/// Where the signature of a file is: where minisign writes it.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

impl TrustedKeys {
    pub(in crate::control) fn new(keys: &[PublicKey]) -> Self {
        Self(keys.into())
    }

    pub(in crate::control) fn are(&self, keys: &[PublicKey]) -> bool {
        *self.0 == *keys
    }

    /// Whether anything is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn check(&self, component: &Component) -> Result<(), SignatureError> {
        if self.is_empty() {
            return Ok(());
        }
        let text = component.signature.as_deref().ok_or(SignatureError::Missing)?;
        if text.len() > MAX_SIGNATURE_BYTES {
            return Err(SignatureError::Unreadable(format!("it has {} bytes", text.len())));
        }
        let unreadable = |error: minisign_verify::Error| SignatureError::Unreadable(error.to_string());
        let signature = Signature::decode(text).map_err(unreadable)?;
        let mut why = SignatureError::Untrusted;
        for key in &*self.0 {
            // Signatures without a hash of the component are those of minisign before 0.9; they are as good.
            match key.verify(&component.bytes, &signature, true) {
                Ok(()) => return Ok(()),
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(_) => why = SignatureError::Wrong,
            }
        }
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of the documentation of minisign-verify, with what it has signed.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWRL8/CkxdubT2RYB1lGpYyvZpY3HlpB6qW0mLY2K/G0tVZvgAMxSc1C";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    fn check(keys: &[&str], bytes: &[u8], signature: Option<&str>) -> Result<(), SignatureError> {
        let keys: Vec<PublicKey> = keys.iter().filter_map(|key| PublicKey::from_base64(key).ok()).collect();
        TrustedKeys::new(&keys).check(&Component { bytes: bytes.into(), signature: signature.map(Into::into) })
    }

    #[test]
    fn what_a_trusted_key_has_signed_is_taken_and_nothing_else() {
        assert_eq!(check(&[KEY], b"test", Some(SIGNATURE)), Ok(()));
        assert_eq!(check(&[], b"test", None), Ok(()));
        assert_eq!(check(&[KEY], b"test", None), Err(SignatureError::Missing));
        assert_eq!(check(&[KEY], b"tesT", Some(SIGNATURE)), Err(SignatureError::Wrong));
        let commented = SIGNATURE.replace("file:test", "file:best");
        assert_eq!(check(&[KEY], b"test", Some(&commented)), Err(SignatureError::Wrong));
        for unreadable in ["", "a\nb\nc\nd", &SIGNATURE[..200], &"x".repeat(MAX_SIGNATURE_BYTES + 1)] {
            assert!(matches!(check(&[KEY], b"test", Some(unreadable)), Err(SignatureError::Unreadable(_))));
        }
    }

    #[test]
    fn one_of_several_keys_is_enough() {
        assert_eq!(check(&[OTHER], b"test", Some(SIGNATURE)), Err(SignatureError::Untrusted));
        assert_eq!(check(&[OTHER, KEY], b"test", Some(SIGNATURE)), Ok(()));
        assert_eq!(check(&[OTHER, KEY], b"best", Some(SIGNATURE)), Err(SignatureError::Wrong));
    }
}

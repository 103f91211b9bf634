//! Who is asking a registry, as Docker and all others of its kind write it down.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use oci_client::secrets::RegistryAuth;

/// What there is for a registry in Docker's `config.json`, or from the helper that it names. Nothing there is nobody in particular.
pub(super) fn credentials(registry: &str) -> Result<RegistryAuth> {
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
    let Some(path) = directory.map(|directory| directory.join("config.json")) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    match get_credential_from_reader(file, registry) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            bail!("{} has an identity token for {registry}, expected a name and a password", path.display())
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(error).with_context(|| format!("look for credentials for {registry} in {}", path.display())),
    }
}

//! A registry of OCI artifacts, in which components lie as those who deal with WebAssembly have agreed on: a configuration of a type of its
//! own, and one layer. A signature travels as an annotation, since it is of the component and of nothing around it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use futures_util::TryStreamExt as _;
use http::HeaderValue;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::{Builder, Runtime};

use super::credentials::credentials;
use crate::control::MOST_COMPONENT_BYTES;
use crate::plugin::digest_of;

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";
/// What minisign has written about the component.
const SIGNATURE: &str = "io.github.plimsoll-proxy.minisign";
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ_PATIENCE: Duration = Duration::from_secs(60);

/// How a registry is spoken to.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// Speak HTTP to the registry and not HTTPS, such as to one on this machine.
    #[arg(long)]
    plain_http: bool,
    /// Certificates of authorities, in PEM, that it may have its certificate from besides those that the system trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Who is asking; what Docker's `config.json` has for the registry, or nobody in particular, unless given.
    #[arg(long, env = "PLIMSOLL_REGISTRY_USERNAME", value_name = "NAME", requires = "password")]
    username: Option<String>,
    /// The password, better in the environment than on the command line.
    #[arg(
        long,
        env = "PLIMSOLL_REGISTRY_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        requires = "username"
    )]
    password: Option<String>,
}

/// One artifact in a registry.
pub(super) struct Registry {
    client: Client,
    auth: RegistryAuth,
    at: Reference,
    runtime: Runtime,
}

/// What is there.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) bytes: Vec<u8>,
    /// As minisign writes it.
    pub(super) signature: Option<String>,
    /// Of the manifest: by this it can be asked for again.
    pub(super) digest: String,
}

impl Access {
    pub(super) fn registry(self, at: Reference) -> Result<Registry> {
        let extra_root_certificates = match &self.ca {
            Some(file) => certificates(file).with_context(|| format!("read {}", file.display()))?,
            None => Vec::new(),
        };
        // The one of the proxy; whoever has installed another before is content with that.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = ClientConfig {
            protocol: if self.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates,
            connect_timeout: Some(CONNECT_PATIENCE),
            read_timeout: Some(READ_PATIENCE),
            user_agent: concat!("plimsoll/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let auth = match self.username.zip(self.password) {
            Some((name, password)) => RegistryAuth::Basic(name, password),
            None => credentials(at.resolve_registry())?,
        };
        let client = Client::try_from(config).context("make a client of the registry")?;
        let runtime = Builder::new_current_thread().enable_all().build().context("start the runtime")?;
        Ok(Registry { client, auth, at, runtime })
    }
}

impl Registry {
    /// Puts a component there. Answers the digest of the manifest.
    pub(super) fn push(
        &self,
        component: Vec<u8>,
        config: &serde_json::Value,
        mut annotations: BTreeMap<String, String>,
        signature: Option<&str>,
    ) -> Result<String> {
        annotations.extend(signature.map(|text| (SIGNATURE.to_owned(), text.to_owned())));
        let config = Config::new(config.to_string(), CONFIG_TYPE.to_owned(), None);
        let layer = ImageLayer::new(component, LAYER_TYPE.to_owned(), None);
        let mut manifest = OciImageManifest::build(std::slice::from_ref(&layer), &config, Some(annotations));
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        // The library's own way of writing it leaves the ends of lines in texts as they are, which is no JSON.
        let text = serde_json::to_vec(&manifest).context("write JSON")?;
        let digest = format!("sha256:{}", digest_of(&text));
        self.runtime.block_on(async {
            self.client.store_auth_if_needed(self.at.resolve_registry(), &self.auth).await;
            for (blob, of) in [(layer.data, &manifest.layers[0].digest), (config.data, &manifest.config.digest)] {
                self.client.push_blob(&self.at, blob, of).await?;
            }
            self.client.push_manifest_raw(&self.at, text, HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE)).await?;
            Ok(digest)
        })
    }

    /// Gets the component, whose bytes are those that the manifest names, which is the one that the reference names.
    pub(super) fn pull(&self) -> Result<Artifact> {
        self.runtime.block_on(async {
            let (manifest, digest) = self.client.pull_image_manifest(&self.at, &self.auth).await?;
            ensure!(
                manifest.config.media_type == CONFIG_TYPE,
                "it is no component of WebAssembly: its configuration is of the type `{}`, expected `{CONFIG_TYPE}`",
                manifest.config.media_type
            );
            let [layer] = manifest.layers.as_slice() else {
                bail!("expected one layer, there are {}", manifest.layers.len())
            };
            ensure!(
                layer.media_type == LAYER_TYPE,
                "its layer is of the type `{}`, expected `{LAYER_TYPE}`",
                layer.media_type
            );
            let mut pieces = self.client.pull_blob_stream(&self.at, layer).await?.stream;
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.try_next().await? {
                ensure!(
                    bytes.len() + piece.len() <= MOST_COMPONENT_BYTES,
                    "it has more than {MOST_COMPONENT_BYTES} bytes"
                );
                bytes.extend_from_slice(&piece);
            }
            let signature = manifest.annotations.and_then(|mut all| all.remove(SIGNATURE));
            Ok(Artifact { bytes, signature, digest })
        })
    }

    /// How the same artifact is named for ever.
    pub(super) fn named(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.at.registry(), self.at.repository())
    }
}

/// `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`, with the host, since there is no registry that everybody means.
pub(super) fn reference(text: &str) -> Result<Reference> {
    let host = text.split_once('/').map(|(host, _)| host);
    if !host.is_some_and(|host| host == "localhost" || host.contains(['.', ':'])) {
        return Err(anyhow!("expected HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST"));
    }
    Ok(text.parse()?)
}

/// Those of a file, of which there is one at least.
fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let all: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_file_iter(file)?.collect();
    let all = all?.into_iter().map(|der| Certificate { encoding: CertificateEncoding::Der, data: der.to_vec() });
    let all: Vec<Certificate> = all.collect();
    ensure!(!all.is_empty(), "there is no certificate");
    Ok(all)
}

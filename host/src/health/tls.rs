use crate::config::{self, CheckTls, TlsPolicy, UpstreamProtocol};
use crate::plugin::{ProberPlan, Transport};
use crate::tls::{EndpointTls, SystemRoots, UpstreamTls};

/// How a check speaks TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeTls {
    tls: UpstreamTls,
    /// What the prober wants offered; nothing: what the configuration says.
    application_protocols: Vec<String>,
    /// From the first byte on; otherwise when the prober asks for it.
    encrypts: bool,
    /// Whether it is about certificates, of which sessions that go on show none.
    looks_at_certificates: bool,
}

impl ProbeTls {
    /// What a check with a prober of this plan takes: as the check says, or the cluster that it is of, or else by the roots of the
    /// system. None without TLS. Fails with what is wrong, and with the key of the check that says it.
    pub fn new(
        check: &config::Check,
        cluster: Option<&config::UpstreamTls>,
        plan: &ProberPlan,
        system: &mut SystemRoots,
    ) -> Result<Option<Self>, (&'static str, String)> {
        let wanted = plan.tls.as_ref();
        let configured = check.tls != CheckTls::Off;
        let encrypts = match plan.transport {
            Transport::Tls => true,
            Transport::Http | Transport::Grpc => wanted.is_some() || configured,
            // Who wants it over TCP begins it later.
            Transport::Tcp => wanted.is_none() && configured,
            Transport::Udp => configured,
        };
        if !encrypts && wanted.is_none() {
            return match check.min_validity {
                Some(_) => {
                    Err(("min_validity", "this probe speaks no TLS, in which there are certificates".to_owned()))
                }
                None => Ok(None),
            };
        }
        let (base, key) = match &check.tls {
            CheckTls::Own(own) => ((**own).clone(), "own_tls"),
            CheckTls::AsCluster | CheckTls::Off => (cluster.cloned().unwrap_or_else(by_system), "plugin"),
        };
        let server_name = wanted.and_then(|wanted| wanted.server_name.clone()).or_else(|| base.server_name.clone());
        let verifies = base.verifies && wanted.is_none_or(|wanted| wanted.verifies);
        let tls = UpstreamTls::new(&config::UpstreamTls { server_name, verifies, ..base }, system);
        Ok(Some(Self {
            tls: tls.map_err(|(_, message)| (key, message))?,
            application_protocols: wanted.map(|wanted| wanted.application_protocols.clone()).unwrap_or_default(),
            encrypts,
            looks_at_certificates: check.min_validity.is_some() || plan.transport == Transport::Tls,
        }))
    }

    /// With one endpoint, of the name or address that the configuration has for it.
    pub fn towards(&self, host: &str, protocol: UpstreamProtocol) -> EndpointTls {
        let mut towards = self.tls.towards(host, protocol);
        if !self.application_protocols.is_empty() {
            towards = towards.offering(&self.application_protocols);
        }
        if self.looks_at_certificates { towards.without_resumption() } else { towards }
    }

    pub fn encrypts(&self) -> bool {
        self.encrypts
    }
}

/// Trusts whom the system trusts.
fn by_system() -> config::UpstreamTls {
    config::UpstreamTls {
        ca: None,
        crl: None,
        server_name: None,
        certificate: None,
        verifies: true,
        policy: TlsPolicy::Intermediate,
    }
}

//! Of certificates and what renews them.

use std::fmt;

use super::Scrape;
use super::exposition::Exposition;
use crate::telemetry::label::{AcmeOrder, ReloadResult};

impl Scrape {
    pub(super) fn certificates(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let mut family =
            out.gauge("plimsoll_certificate_expiry_seconds", "When certificates expire, in seconds since 1970.")?;
        for certificate in &self.certificates {
            let labels = [("name", certificate.name.as_str()), ("serial", &certificate.serial)];
            family.sample(labels, certificate.not_after)?;
        }
        let mut family = out.counter(
            "plimsoll_certificate_reloads_total",
            "Changes of the files of certificates. After a failure, the certificate before stays.",
        )?;
        for result in ReloadResult::ALL {
            family.sample([("result", result.as_str())], self.certificate_reloads[result as usize])?;
        }
        let mut family =
            out.counter("plimsoll_acme_orders_total", "Orders for certificates (ACME), by what came of them.")?;
        for result in AcmeOrder::ALL {
            family.sample([("result", result.as_str())], self.acme_orders[result as usize])?;
        }
        Ok(())
    }
}

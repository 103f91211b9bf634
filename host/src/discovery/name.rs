use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::resolver::Resolver;

/// The addresses of a host, which are looked up again when their time is over.
#[derive(Debug)]
pub struct Name {
    resolver: Arc<Resolver>,
    host: Arc<str>,
    last: Vec<IpAddr>,
    due: Instant,
    failures: u32,
}

impl Name {
    pub fn new(resolver: Arc<Resolver>, host: Arc<str>) -> Self {
        Self { resolver, host, last: Vec::new(), due: Instant::now(), failures: 0 }
    }

    /// Waits until they are due, and looks them up. After an error, those that were known last still hold.
    pub async fn next(&mut self) -> Result<Vec<IpAddr>, String> {
        tokio::time::sleep_until(self.due.into()).await;
        match self.resolver.addresses(&self.host, &self.last).await {
            Ok(answer) => {
                self.failures = 0;
                self.due = answer.until;
                self.last.clone_from(&answer.found);
                Ok(answer.found)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.due = self.resolver.retry_at(self.failures);
                Err(error)
            }
        }
    }
}

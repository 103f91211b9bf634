//! The certificates of listeners: read with the configuration, read again when their files change, ordered from an authority,
//! and taken from whoever uploads them. Each of these replaces what a listener chooses from, and nothing else.

mod kept;
mod listeners;
mod ordered;
mod ordering;
mod orders;
mod report;
mod uploading;
mod uploads;
mod watching;

pub(super) use listeners::ListenerTls;
pub(super) use ordered::{Ordered, PreparedOrders};
pub use report::CertificateReport;
pub use uploads::CertificateError;
pub(super) use uploads::Uploads;
pub(super) use watching::watch_certificates;

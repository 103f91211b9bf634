use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;

/// All lists of revoked certificates of a text in PEM.
pub(super) fn lists_in(pem: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a list cannot be read: {error}"))?;
    if lists.is_empty() {
        return Err("the file has no list in PEM (`-----BEGIN X509 CRL-----`)".to_owned());
    }
    Ok(lists)
}

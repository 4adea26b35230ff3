//! TLS towards origins: rustls, HTTP/1.1 only, verified against the system's roots or those of `ca_file`.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::shared::SetupError;

/// Whom to trust.
pub(super) enum Trust<'a> {
    /// Nobody: the upstream has no https server.
    Nobody,
    /// The system's roots.
    System,
    /// The certificates in this PEM file instead.
    File(&'a Path),
}

/// The provider is named here rather than installed for the process, so that no other code can change it.
pub(super) fn config(trust: &Trust<'_>) -> Result<Arc<ClientConfig>, SetupError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Trust::System => builder.with_native_roots().map_err(SetupError::SystemRoots)?,
        Trust::File(path) => builder.with_root_certificates(read_roots(path)?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_roots(path: &Path) -> Result<RootCertStore, SetupError> {
    let unreadable = |error| SetupError::CaFile { path: path.to_owned(), error };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    if roots.is_empty() {
        return Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(roots)
}

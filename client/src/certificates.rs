//! Certificate files: PEM (any number of certificates) or one DER certificate.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::Error;
use crate::files;

const MAX_FILE: usize = 1 << 20;

/// The certificates of a file, DER.
pub fn read(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let bytes = files::read(path, MAX_FILE)?;
    let bad = |what: &str| Error::usage(format!("{}: {what}", path.display()));
    let certs: Vec<Vec<u8>> = if bytes.windows(11).any(|w| w == b"-----BEGIN ") {
        CertificateDer::pem_slice_iter(&bytes)
            .map(|c| c.map(|c| c.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|e| bad(&format!("not a readable PEM file: {e}")))?
    } else {
        vec![bytes.to_vec()]
    };
    if certs.is_empty() {
        return Err(bad("holds no certificate"));
    }
    for der in &certs {
        rustls::RootCertStore::empty()
            .add(CertificateDer::from_slice(der))
            .map_err(|_| bad("not a certificate in PEM or DER that can serve as a trust anchor"))?;
    }
    Ok(certs)
}

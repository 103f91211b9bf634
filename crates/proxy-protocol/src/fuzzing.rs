//! What the fuzz targets call.

use crate::{Found, MOST_BYTES, Tlvs, Version, read, read_datagram, write};

/// The first bytes of a connection. Whatever they are, the answer does not depend on how much more came with them, and what is
/// understood is understood again when it is written.
pub fn read_proxy_protocol(bytes: &[u8]) {
    let found = read(bytes);
    match read_datagram(bytes) {
        Some(Ok((header, length))) => assert_eq!(found, Found::Header { header, version: Version::V2, length }),
        Some(Err(_)) => assert!(matches!(found, Found::Malformed(_) | Found::More)),
        None => assert!(!matches!(found, Found::Header { version: Version::V2, .. })),
    }
    match &found {
        Found::Header { header, length, .. } => {
            assert!(*length <= bytes.len().min(MOST_BYTES));
            assert_eq!(read(&bytes[..*length]), found);
            for shorter in 0..*length {
                assert_eq!(read(&bytes[..shorter]), Found::More);
            }
            let all = Tlvs { application_protocol: true, authority: true, unique_id: true, ssl: true, crc32c: true };
            let written = write(Version::V2, header.addresses, &header.details, all);
            let Found::Header { header: again, length, .. } = read(&written) else { panic!("{written:?}") };
            assert_eq!((again.addresses, length), (header.addresses, written.len()));
        }
        Found::More => assert!(bytes.len() < MOST_BYTES),
        Found::Other | Found::Malformed(_) => {}
    }
}

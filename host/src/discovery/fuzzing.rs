//! What a fuzzer calls.

use super::message::{Answer, Data, Kind, answer, asked};

/// Any bytes that come from a name server, as the answer to the very question that they say they answer.
pub fn read_dns_answer(bytes: &[u8]) {
    let Some((id, name)) = asked(bytes) else { return };
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
        let Some(found) = answer(bytes, id, &name, kind) else { continue };
        assert_eq!(
            answer(bytes, id.wrapping_add(1), &name, kind),
            None,
            "it is the answer to another question as well"
        );
        if let Answer::Records(records, ttl) = found {
            assert!(records.len() <= bytes.len() / 11, "more records than there is room for");
            assert!(i32::try_from(ttl).is_ok(), "a TTL of {ttl}");
            records.iter().for_each(|record| check(record, kind));
        }
    }
}

fn check(record: &Data, kind: Kind) {
    match record {
        Data::Address(address) => {
            assert_eq!(kind, if address.is_ipv4() { Kind::A } else { Kind::Aaaa }, "not what was asked for");
        }
        Data::Service { target, .. } => {
            assert_eq!(kind, Kind::Srv, "not what was asked for");
            assert!(target.len() <= 253 && !target.bytes().any(|byte| byte.is_ascii_uppercase()), "{target:?}");
        }
    }
}

use plimsoll_sdk::testing::FilterBench;
use plimsoll_sdk::{Attribute, Edit, Verdict};

use plugin_crate::PluginType;

fn bench() -> FilterBench<PluginType> {
    FilterBench::new(r#"{"key":"open sesame"}"#).unwrap()
}

#[test]
fn the_key_opens_and_goes_no_further() {
    let verdict = bench().request_head(1, &[(Attribute::Header("x-api-key".into()), "open sesame")]);
    assert_eq!(verdict, Verdict::Proceed(vec![Edit::Remove("x-api-key".into())]));
}

#[test]
fn without_the_key_there_is_no_entry() {
    for given in [&[][..], &[(Attribute::Header("x-api-key".into()), "sesame")]] {
        assert!(matches!(bench().request_head(1, given), Verdict::Reply(reply) if reply.status == 401));
    }
}

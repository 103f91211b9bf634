use plimsoll_tests::{Endpoint, Nginx};

use super::{fails, passes, probing};

#[test]
fn a_talk_in_several_steps_is_one_of_text_bytes_and_expressions() {
    let nginx = Nginx::start("location = /a { return 200 'one\ntwo\n'; }", &[]);
    let config = r#"{ send: 'GET /a HTTP/1.1\r\nhost: a\r\n\r\n', expect: { regex: "^HTTP/1.1 200" }, then: [
        { expect: { contains: { hex: 0d 0a 0d 0a } } }, { expect: { prefix: 'one\n' } },
        { send: { hex: 474554202f6120485454502f312e300d0a0d0a }, expect: { regex: "^HTTP/1.1 200 " } } ] }"#;
    passes(&probing(nginx.address(), "tcp", config));
    let config = r#"{ send: 'GET /a HTTP/1.0\r\n\r\n', expect: { contains: "\\r\\n\\r\\n" }, then: [ { expect: { prefix: two } } ] }"#;
    fails(&probing(nginx.address(), "tcp", config), "step 2: expected an answer that begins with `two`, got `one two`");
    let endpoint = Endpoint::answering("-ERR no\r\n");
    let config = r#"{ send: 'PING\r\n\r\n', expect: { prefix: +PONG } }"#;
    fails(&probing(endpoint.address(), "tcp", config), "expected an answer that begins with `+PONG`, got `-ERR no`");
}

//! `plimsoll probe` asks once, shows what was said, and ends with what came of it.

use std::process::{Command, Output};

use plimsoll_tests::{Authority, Nginx, free_address};

use crate::PLIMSOLL;

fn probe(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(PLIMSOLL).arg("probe").args(arguments).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_url_is_probed_and_what_was_said_is_shown() {
    let nginx = Nginx::start("location = /up { return 200 well; } location = /down { return 503; }", &[]);
    let at = |path: &str| format!("http://{}{path}", nginx.address());
    let (code, shown, _) = probe(&[&at("/up")]);
    assert_eq!(code, Some(0), "{shown}");
    for words in ["* connected\n", "> GET /up\n", "< 200\n", "< well\n", &format!("{}: passed in ", nginx.address())] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let (code, shown, told) = probe(&[&at("/down")]);
    assert!(shown.contains("< 503\n") && shown.contains(": expected status 200-399, got 503\n"), "{shown}");
    assert_eq!((code, told.as_str()), (Some(1), "error: 1 of 1 probes failed\n"));
    let (code, shown, _) = probe(&[&at("/down"), "--with", r#"{"expect":{"status":[503]}}"#]);
    assert_eq!(code, Some(0), "{shown}");
    let (code, shown, _) = probe(&[&format!("tcp://{}", free_address())]);
    assert!(code == Some(1) && shown.contains("connecting failed: Connection refused"), "{shown}");
}

#[test]
fn certificates_are_looked_at_as_asked() {
    let authority = Authority::new("shown");
    let issued = authority.issue("origin", "IP:127.0.0.1");
    let address = free_address();
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    let server = format!(
        "server {{ listen {address} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
           location / {{ return 200; }} }}"
    );
    let _nginx = Nginx::with_upstreams(&server, "location / { return 200; }", &[]);
    let (tls, https) = (format!("tls://{address}"), format!("https://{address}/"));
    let ca = authority.certificate().display().to_string();
    for (arguments, code, words) in [
        (&[&*tls, "--ca-file", &ca][..], 0, "certificate valid for "),
        (&[&*https, "--ca-file", &ca], 0, "< 200\n"),
        (&[&*https, "--insecure"], 0, "< 200\n"),
        (&[&*https], 1, "no trusted root leads to its certificate"),
        (&[&*tls, "--ca-file", &ca, "--min-validity", "60000d"], 1, "days yet, expected 60000 days"),
    ] {
        let (found, shown, _) = probe(arguments);
        assert!(found == Some(code) && shown.contains(words), "{arguments:?}: {shown}");
    }
}

#[test]
fn the_probe_of_a_cluster_is_tried_at_all_its_endpoints_or_at_one() {
    let nginx = Nginx::start("location = /up { return 200; }", &[]);
    let (up, down) = (nginx.address(), free_address());
    let file = std::env::temp_dir().join(format!("plimsoll-probe-{}.yaml", std::process::id()));
    let config = format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health: {{ probe: {{ all: [ {{ plugin: http, config: {{ path: /up }} }}, {{ plugin: tcp }} ] }} }}
    endpoints: [ {{ id: one, address: \"{up}\" }}, \"{down}\" ]
  - {{ name: bare, endpoints: [ \"{up}\" ] }}"
    );
    std::fs::write(&file, config).expect("room for a file");
    let file = file.display().to_string();
    let (code, shown, told) = probe(&["--config", &file, "--cluster", "app"]);
    assert!(shown.contains("one: passed in "), "{shown}");
    assert!(shown.contains(&format!("{down}: failed after ")), "{shown}");
    assert_eq!((code, told.as_str()), (Some(1), "error: 1 of 2 probes failed\n"));
    assert_eq!(probe(&["--config", &file, "--cluster", "app", "one"]).0, Some(0));
    assert_eq!(probe(&["--config", &file, "--cluster", "app", &up.to_string()]).0, Some(0));
    for (arguments, words) in [
        (&["--config", &file, "--cluster", "app", "two"][..], "the ids are: one, "),
        (&["--config", &file, "--cluster", "none"], "no cluster of the name `none`; there are: app, bare"),
        (&["--config", &file, "--cluster", "bare"], "the cluster `bare` has no `probe`"),
        (&["somewhere"], "expected a URL"),
        (&["redis://user:secret@127.0.0.1"], "credentials stand in the prober's configuration"),
        (&["nothing://127.0.0.1:1"], "plugin `nothing` is not known"),
        (&["http://127.0.0.1", "--with", "[]"], "expected an object"),
    ] {
        let (code, _, told) = probe(arguments);
        assert!(code == Some(2) && told.contains(words), "{arguments:?}: {told}");
    }
    let _ = std::fs::remove_file(file);
}

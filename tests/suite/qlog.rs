//! Connections of QUIC that are written down.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::Method;
use plimsoll_tests::{Authority, Endpoint, Proxy, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;
use crate::quic::{ask, client, connect, in_time};

/// A directory that is gone when this is.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-qlog-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    fn http3(&self, more: &str) -> String {
        format!("{{ qlog: {{ directory: \"{}\", {more} }} }}", self.0.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The records of a file (RFC 7464), each of JSON.
fn records(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("text");
    let records = text.split('\x1e').skip(1);
    records.map(|record| serde_json::from_str(record).unwrap_or_else(|error| panic!("{record}: {error}"))).collect()
}

fn names(records: &[Value]) -> BTreeSet<&str> {
    records.iter().filter_map(|record| record["name"].as_str()).collect()
}

/// Asks so often over a connection of its own.
async fn talk(authority: &Authority, proxy: &Proxy, questions: usize) {
    let client = client(authority);
    let connection = connect(&client, proxy.address("web")).await;
    for _ in 0..questions {
        assert_eq!(ask(&connection, Method::GET, "/secret-path").await, 200);
    }
    connection.close(0x100_u32.into(), b"");
    client.wait_idle().await;
}

/// Until the connections of before are over.
fn wait_for_end(proxy: &Proxy) {
    wait_for("their end", || (proxy.metric("plimsoll_connections_open{listener=\"web\"}") == 0.0).then_some(()));
}

#[test]
fn what_happens_on_a_connection_is_in_a_file_of_its_own() {
    let (authority, endpoint, directory) = (Authority::new("root"), Endpoint::named("one"), Directory::new("one"));
    let proxy = Proxy::start(PLIMSOLL, &config(&authority, &endpoint, &directory.http3("")));
    in_time(async {
        talk(&authority, &proxy, 3).await;
        talk(&authority, &proxy, 1).await;
    });
    wait_for_end(&proxy);
    let files = directory.files();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let records = wait_for("it to be written", || Some(records(&file)).filter(|records| records.len() > 5));
        let (head, events) = records.split_first().expect("a head");
        assert_eq!(head["qlog_format"], "JSON-SEQ", "{head}");
        assert!(head["title"] == "web" && head["description"].to_string().contains("127.0.0.1"), "{head}");
        let names = names(events);
        for name in ["packet_received", "packet_sent", "metrics_updated"] {
            assert!(names.iter().any(|found| found.ends_with(name)), "{name} is none of {names:?}");
        }
        assert!(events.windows(2).all(|two| two[0]["time"].as_f64() <= two[1]["time"].as_f64()));
        assert!(!std::fs::read_to_string(&file).expect("text").contains("secret-path"));
    }
}

#[test]
fn there_are_no_more_files_and_no_more_bytes_than_may_be() {
    let (authority, endpoint, directory) = (Authority::new("root"), Endpoint::named("one"), Directory::new("bounds"));
    let proxy = Proxy::start(PLIMSOLL, &config(&authority, &endpoint, &directory.http3("files: 2, bytes: 4KiB")));
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        in_time(talk(&authority, &proxy, 40));
        wait_for_end(&proxy);
        let files = directory.files();
        assert!(files.len() <= 2, "{files:?}");
        for file in &files {
            let length = std::fs::metadata(file).expect("a file").len();
            assert!(length <= 4096, "{length} bytes");
            records(file);
        }
        seen.extend(files);
    }
    assert_eq!(seen.len(), 4, "the latest are kept: {seen:?}");
}

#[test]
fn it_is_turned_on_and_off_by_a_reload_and_for_some_clients_alone() {
    let (authority, endpoint, directory) = (Authority::new("root"), Endpoint::named("one"), Directory::new("reload"));
    let proxy = Proxy::start(PLIMSOLL, &config(&authority, &endpoint, "true"));
    let with = |http3: &str| {
        proxy.admin_json("PUT", "/v1/config", Some(config(&authority, &endpoint, http3).as_bytes()));
        in_time(talk(&authority, &proxy, 1));
        directory.files().len()
    };
    assert_eq!(with("true"), 0);
    assert_eq!(with(&directory.http3("from: [ 192.0.2.0/24 ]")), 0);
    assert_eq!(with(&directory.http3("from: [ 192.0.2.0/24, 127.0.0.1 ]")), 1);
    assert_eq!(with("true"), 1);
}

fn config(authority: &Authority, endpoint: &Endpoint, http3: &str) -> String {
    let issued = authority.issue("localhost", "DNS:localhost");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    format!(
        "workers: 2
admin: {{ bind: \"127.0.0.1:0\" }}
listeners: [ {{ name: web, bind: \"127.0.0.1:0\", cluster: app, http3: {http3}, tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

#[test]
fn a_directory_that_cannot_be_written_to_is_told_before_anything_is_live() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let http3 = "{ qlog: { directory: /nowhere/at/all } }";
    let mut proxy = Proxy::launch(PLIMSOLL, &config(&authority, &endpoint, http3));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    let log = proxy.log();
    assert!(log.contains("listeners[0].http3.qlog.directory") && log.contains("/nowhere/at/all"), "{log}");
}

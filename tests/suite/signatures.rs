//! Where the operator names keys, nobody's component is loaded but what one of them has signed, by minisign itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_tests::{Endpoint, Proxy, Response, get, guest};
use serde_json::Value;

use crate::PLIMSOLL;

/// A directory with keys and what they have signed, gone at the end.
struct Signer(PathBuf);

impl Drop for Signer {
    fn drop(&mut self) {
        // A test that failed early may not have made it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Signer {
    fn named(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-signed-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let signer = Self(directory);
        signer.minisign(&["-G", "-W", "-p", "pub", "-s", "key"]);
        signer
    }

    fn minisign(&self, arguments: &[&str]) {
        let done = Command::new("minisign").args(arguments).current_dir(&self.0).output();
        let done = done.expect("minisign runs, of the Debian package of that name");
        assert!(done.status.success(), "minisign {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn public_key(&self) -> String {
        let file = std::fs::read_to_string(self.0.join("pub")).expect("a key");
        file.lines().nth(1).expect("its second line").to_owned()
    }

    /// A component in a file, with its signature beside it.
    fn signed(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, bytes).expect("a file");
        self.minisign(&["-S", "-s", "key", "-m", name]);
        file
    }

    /// What it writes about these bytes.
    fn signature(&self, bytes: &[u8]) -> String {
        let file = self.signed("component.wasm", bytes);
        std::fs::read_to_string(beside(&file)).expect("a signature")
    }

    fn config(&self, more: &str, balancer: &str, endpoints: &[Endpoint; 2]) -> String {
        let [one, two] = endpoints.each_ref().map(Endpoint::address);
        format!(
            "workers: 1
admin: {{ bind: \"127.0.0.1:0\" }}
plugin_keys: [ {} ]
plugins_dir: {:?}
{more}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: {balancer} }}, endpoints: [ \"{one}\", \"{two}\" ] }} ]",
            self.public_key(),
            self.0.join("store"),
        )
    }
}

fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.minisig", file.display()))
}

fn put(proxy: &Proxy, path: &str, component: &[u8], signature: Option<&str>) -> Response {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let signature = signature.map(|text| format!("&signature={}", encoded(text))).unwrap_or_default();
    proxy.admin("PUT", &format!("/v1/plugins/{path}?conformance=off{signature}"), Some(component))
}

/// The status of a refusal, its code, and whether it says something.
fn refused(response: &Response, says: &str) -> (u16, String) {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(body["message"].as_str().is_some_and(|message| message.contains(says)), "{body:#}");
    (response.status, body["code"].as_str().unwrap_or_default().to_owned())
}

fn answer(proxy: &Proxy) -> String {
    get(proxy.address("web"), "/").text()
}

#[test]
fn an_upload_is_live_only_with_a_signature_of_a_trusted_key() {
    let (signer, stranger) = (Signer::named("upload"), Signer::named("stranger"));
    let endpoints = ["one", "two"].map(Endpoint::named);
    let proxy = Proxy::start(PLIMSOLL, &signer.config("", "round-robin", &endpoints));
    let (last, first) = (guest("last"), guest("first"));
    for path in ["round-robin", "round-robin/shadow"] {
        let refuse = |signature: Option<&str>, says| refused(&put(&proxy, path, last, signature), says);
        assert_eq!(refuse(None, "`minisign -Sm FILE`"), (422, "unsigned".into()));
        assert_eq!(refuse(Some("nothing"), "minisign writes"), (422, "bad_signature".into()));
        assert_eq!(refuse(Some(&stranger.signature(last)), "not among `plugin_keys`"), (422, "bad_signature".into()));
        assert_eq!(refuse(Some(&signer.signature(first)), "not one of these bytes"), (422, "bad_signature".into()));
    }
    let built_in = proxy.admin_json("GET", "/v1/plugins/round-robin", None);
    assert_eq!((&built_in["plugin"]["source"], &built_in["shadow"]), (&"built-in".into(), &Value::Null));
    let loaded = put(&proxy, "round-robin", last, Some(&signer.signature(last)));
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    assert_eq!((answer(&proxy), answer(&proxy)), ("two".into(), "two".into()));
    let shadow = put(&proxy, "round-robin/shadow", first, Some(&signer.signature(first)));
    assert_eq!(shadow.status, 200, "{}", shadow.text());
    proxy.admin_json("POST", "/v1/plugins/round-robin/promote", None);
    assert_eq!(answer(&proxy), "one");
}

#[test]
fn the_store_keeps_signatures_and_a_start_asks_for_them() {
    let signer = Signer::named("store");
    let endpoints = ["one", "two"].map(Endpoint::named);
    let config = signer.config("", "round-robin", &endpoints);
    let proxy = Proxy::start(PLIMSOLL, &config);
    let last = guest("last");
    let loaded = put(&proxy, "round-robin", last, Some(&signer.signature(last)));
    let loaded: Value = serde_json::from_slice(&loaded.body).expect("JSON");
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(answer(&proxy), "two");
    drop(proxy);
    let file = signer.0.join("store").join(format!("{}.wasm", loaded["digest"].as_str().expect("a digest")));
    signer.minisign(&["-V", "-p", "pub", "-m", &file.display().to_string()]);
    std::fs::remove_file(beside(&file)).expect("it was there");
    let mut proxy = Proxy::launch(PLIMSOLL, &config);
    assert_eq!(proxy.wait_for_end().code(), Some(2), "{}", proxy.log());
    assert!(proxy.log().contains("it is not signed"), "{}", proxy.log());
}

#[test]
fn a_file_is_loaded_only_with_its_signature_beside_it() {
    let signer = Signer::named("file");
    let endpoints = ["one", "two"].map(Endpoint::named);
    let file = signer.signed("mine.wasm", guest("last"));
    let plugins = format!("plugins: [ {{ name: mine, path: {file:?}, conformance: off }} ]");
    let config = signer.config(&plugins, "mine", &endpoints);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(answer(&proxy), "two");
    // Other bytes under the same signature change nothing at a reload.
    std::fs::write(&file, guest("first")).expect("a file");
    let reloaded = proxy.admin("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!((reloaded.status, answer(&proxy)), (422, "two".into()));
    assert!(reloaded.text().contains("not one of these bytes"), "{}", reloaded.text());
    signer.signed("mine.wasm", guest("first"));
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!(answer(&proxy), "one");
    drop(proxy);

    std::fs::remove_file(beside(&file)).expect("it was there");
    let mut proxy = Proxy::launch(PLIMSOLL, &config);
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    assert!(proxy.log().contains("FILE.minisig goes beside the file"), "{}", proxy.log());
    let checked = signer.0.join("config.yaml");
    std::fs::write(&checked, &config).expect("a file");
    let checked = Command::new(PLIMSOLL).arg("check").arg(&checked).output().expect("it runs");
    assert!(!checked.status.success() && String::from_utf8_lossy(&checked.stderr).contains("it is not signed"));
}

#[test]
fn nobody_takes_the_keys_away_by_a_configuration() {
    let signer = Signer::named("keys");
    let endpoints = ["one", "two"].map(Endpoint::named);
    let config = signer.config("", "round-robin", &endpoints);
    let proxy = Proxy::start(PLIMSOLL, &config);
    let (key, other) = (signer.public_key(), Signer::named("other").public_key());
    let without = config.replace(&format!("plugin_keys: [ {key} ]"), "");
    for weaker in [&without, &config.replace(&key, &other), &config.replace(&key, &format!("{key}, {other}"))] {
        for how in ["", "?dry_run=true"] {
            let refused = proxy.admin("PUT", &format!("/v1/config{how}"), Some(weaker.as_bytes()));
            assert!(refused.status == 422 && refused.text().contains("taken at the start"), "{}", refused.text());
        }
    }
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!(refused(&put(&proxy, "round-robin", guest("last"), None), "not signed"), (422, "unsigned".into()));
}

#[test]
fn what_is_being_written_is_signed_and_goes_live() {
    let signer = Signer::named("dev");
    let endpoints = [Endpoint::named("one"), Endpoint::named("two")];
    let proxy = Proxy::start(PLIMSOLL, &signer.config("", "round-robin", &endpoints));
    let plugin = |arguments: &[&str]| {
        let done = Command::new(PLIMSOLL).arg("plugin").args(arguments).current_dir(&signer.0).output();
        let done = done.expect("the binary runs");
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (begun, said) = plugin(&["new", "--role", "balancer", "--language", "c", "mine"]);
    assert!(begun, "{said}");
    let to = format!("http://{}", proxy.admin_address());
    let dev = ["dev", "mine", "--once", "--to", &to, "--name", "round-robin"];
    let (live, said) = plugin(&dev);
    assert!(!live && said.contains("not signed"), "{said}");
    let (live, said) = plugin(&[&dev[..], &["--secret-key", "key"]].concat());
    assert!(live && said.contains("live as round-robin"), "{said}");
    assert_eq!(proxy.admin_json("GET", "/v1/plugins/round-robin", None)["plugin"]["source"], "upload");
    assert_eq!(get(proxy.address("web"), "/").status, 200);
}

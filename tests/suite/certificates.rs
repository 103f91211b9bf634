//! Certificates that change while the proxy runs: in their files, through the admin API, and with time.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_tests::{Endpoint, Proxy, self_signed, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

struct Directory(PathBuf);

impl Directory {
    fn of(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-certificates-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, contents: &[u8]) {
        std::fs::write(self.file(name), contents).expect("room for a file");
    }

    fn write_pair(&self, name: &str, (certificate, key): &(Vec<u8>, Vec<u8>)) {
        self.write(&format!("{name}.pem"), certificate);
        self.write(&format!("{name}.key"), key);
    }

    /// A certificate of a listener, with the files of this name.
    fn entry(&self, name: &str) -> String {
        let [certificate, key] = ["pem", "key"].map(|ending| self.file(&format!("{name}.{ending}")));
        format!("{{ cert_file: \"{}\", key_file: \"{}\" }}", certificate.display(), key.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(endpoint: &Endpoint, tls: &str) -> String {
    format!(
        "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, tls: {{ {tls} }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

/// A certificate that is valid in these days, from and to now.
fn valid_in(name: &str, from_days: i64, to_days: i64) -> (Vec<u8>, Vec<u8>) {
    let directory = Directory::of(&format!("made-{name}-{from_days}-{to_days}"));
    let date = |days: i64| {
        let output = Command::new("date").args(["-u", "-d", &format!("{days} days"), "+%y%m%d%H%M%SZ"]).output();
        String::from_utf8(output.expect("date runs").stdout).expect("text").trim().to_owned()
    };
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(&directory.0).output().expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    directory.write("index", b"");
    directory.write("extensions", format!("subjectAltName=DNS:{name}\n").as_bytes());
    let ca = "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
              policy=any\n[any]\ncommonName=supplied\n";
    directory.write("ca.conf", ca.as_bytes());
    let subject = format!("/CN={name}");
    run(&[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "request",
        "-subj",
        &subject,
    ]);
    run(&[
        "ca",
        "-batch",
        "-config",
        "ca.conf",
        "-selfsign",
        "-keyfile",
        "key",
        "-in",
        "request",
        "-out",
        "pem",
        "-notext",
        "-startdate",
        &date(from_days),
        "-enddate",
        &date(to_days),
        "-extfile",
        "extensions",
    ]);
    let read = |name: &str| std::fs::read(directory.file(name)).expect("openssl has written it");
    (read("pem"), read("key"))
}

fn serial(certificate: &[u8]) -> String {
    let directory = Directory::of(&format!("serial-{}", std::ptr::from_ref(&certificate[0]) as usize));
    directory.write("pem", certificate);
    let file = directory.file("pem").display().to_string();
    let output = Command::new("openssl").args(["x509", "-noout", "-serial", "-in", &file]).output();
    let text = String::from_utf8(output.expect("openssl runs").stdout).expect("text");
    text.trim().trim_start_matches("serial=").to_owned()
}

/// The serial number of the certificate that a client gets, or what openssl says of the handshake.
fn seen(proxy: &Proxy, name: &str) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address("web").to_string(), "-servername", name])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    if output.stdout.windows(11).any(|text| text == b"BEGIN CERTI") {
        serial(&output.stdout)
    } else {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn reloads(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_certificate_reloads_total{{result=\"{result}\"}}"))
}

fn certificates(proxy: &Proxy) -> Vec<Value> {
    proxy.admin_json("GET", "/v1/certificates", None).as_array().cloned().expect("a list")
}

#[test]
fn a_certificate_is_read_again_when_its_files_change() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("reload");
    let (old, new) = (self_signed("a.test"), self_signed("a.test"));
    directory.write_pair("a", &old);
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &format!("certificates: [ {} ]", directory.entry("a"))));
    assert_eq!(seen(&proxy, "a.test"), serial(&old.0));

    // A certificate without its key cannot be used, and changes nothing.
    directory.write("a.pem", &new.0);
    wait_for("the change that cannot be used", || (reloads(&proxy, "failure") == 1.0).then_some(()));
    assert_eq!(seen(&proxy, "a.test"), serial(&old.0));
    let trouble = certificates(&proxy)[0]["trouble"].as_str().expect("it is told").to_owned();
    assert!(trouble.contains("the key is not that of the certificate"), "{trouble}");
    proxy.wait_for_log("has changed and cannot be used", "certificate");

    directory.write("a.key", &new.1);
    wait_for("the new certificate", || (seen(&proxy, "a.test") == serial(&new.0)).then_some(()));
    assert_eq!(reloads(&proxy, "success"), 1.0);
    assert_eq!(certificates(&proxy)[0]["trouble"], Value::Null);
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1, "nothing else was made anew");
}

#[test]
fn of_several_the_newest_that_is_valid_now_counts() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("several");
    let made = [
        ("default", self_signed("other.test")),
        ("old", valid_in("a.test", -20, 30)),
        ("expired", valid_in("a.test", -3, -1)),
        ("newest", valid_in("a.test", -5, 10)),
        ("future", valid_in("a.test", 5, 50)),
        ("wildcard", valid_in("*.b.test", -5, 10)),
        ("exact-expired", valid_in("x.b.test", -3, -1)),
        ("alone-expired", valid_in("c.test", -3, -1)),
    ];
    made.iter().for_each(|(name, pair)| directory.write_pair(name, pair));
    let serial_of = |name: &str| serial(&made.iter().find(|(known, _)| *known == name).expect("made").1.0);
    for turned in [false, true] {
        let mut entries: Vec<String> = made[1..].iter().map(|(name, _)| directory.entry(name)).collect();
        if turned {
            entries.reverse();
        }
        let all = format!("certificates: [ {}, {} ]", directory.entry("default"), entries.join(", "));
        let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &all));
        for (name, expected) in [
            ("a.test", "newest"),
            ("x.b.test", "wildcard"),
            ("y.b.test", "wildcard"),
            ("c.test", "alone-expired"),
            ("unknown.test", "default"),
        ] {
            assert_eq!(seen(&proxy, name), serial_of(expected), "{name}, turned: {turned}");
        }
        proxy.wait_for_log("certificate has expired", "serial");
        proxy.wait_for_log("certificate expires in", "serial");
    }
}

#[test]
fn certificates_are_told_with_when_they_expire_and_without_their_keys() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("told");
    let pair = valid_in("a.test", -1, 20);
    directory.write_pair("a", &pair);
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &format!("certificates: [ {} ]", directory.entry("a"))));
    let told = certificates(&proxy);
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(told["names"], serde_json::json!(["a.test"]));
    assert_eq!(told["listeners"], serde_json::json!(["web"]));
    assert_eq!(told["serial"], serial(&pair.0));
    assert_eq!((&told["source"], &told["valid"]), (&"file".into(), &true.into()));
    assert!(told["issuer"].as_str().is_some_and(|issuer| issuer.contains("a.test")), "{told}");
    let fingerprint = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &directory.file("a.pem").display().to_string()])
        .output();
    let fingerprint = String::from_utf8(fingerprint.expect("openssl runs").stdout).expect("text").replace(':', "");
    assert!(fingerprint.trim().to_lowercase().ends_with(told["fingerprint"].as_str().expect("text")), "{told}");
    let expires = proxy.metric("plimsoll_certificate_expiry_seconds{name=\"a.test\"");
    assert_eq!(Some(expires), told["not_after_unix_seconds"].as_f64());
    let days = (expires - told["not_before_unix_seconds"].as_f64().expect("a number")) / 86_400.0;
    assert!((days - 21.0).abs() < 0.1, "{days}");
}

#[test]
fn an_uploaded_certificate_is_offered_at_once_and_kept() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("uploaded");
    let kept = directory.file("kept");
    let text = format!("certificates_dir: \"{}\"\n{}", kept.display(), config(&endpoint, "uploaded: true"));
    let proxy = Proxy::start(PLIMSOLL, &text);
    assert!(seen(&proxy, "a.test").contains("alert"), "without a certificate there is no handshake");

    let (first, second) = (self_signed("a.test"), self_signed("a.test"));
    let put = |name: &str, body: &[u8]| proxy.admin("PUT", &format!("/v1/certificates/{name}"), Some(body));
    for (name, body, status) in [
        ("mine", first.0.clone(), 422),
        ("mine", [first.0.clone(), second.1.clone()].concat(), 422),
        ("mine", b"nothing".to_vec(), 422),
        ("..%2Fmine", [first.0.clone(), first.1.clone()].concat(), 400),
        (".mine", [first.0.clone(), first.1.clone()].concat(), 400),
    ] {
        let answer = put(name, &body);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    assert!(!kept.exists() && certificates(&proxy).is_empty(), "what cannot be used leaves nothing behind");

    let answer = put("mine", &[first.0.clone(), first.1.clone()].concat());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        !answer.text().contains("PRIVATE") && answer.text().contains("\"listeners\":[\"web\"]"),
        "{}",
        answer.text()
    );
    assert_eq!(seen(&proxy, "a.test"), serial(&first.0));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(&kept.join("mine.pem"))), (0o700, 0o600));

    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &text);
    assert_eq!(seen(&proxy, "a.test"), serial(&first.0), "it is there after a restart");
    let body = [second.1.clone(), second.0.clone()].concat();
    assert_eq!(proxy.admin("PUT", "/v1/certificates/mine", Some(&body)).status, 200);
    assert_eq!(seen(&proxy, "a.test"), serial(&second.0));
    assert_eq!(proxy.admin("DELETE", "/v1/certificates/mine", None).status, 204);
    assert_eq!(proxy.admin("DELETE", "/v1/certificates/mine", None).status, 404);
    assert!(seen(&proxy, "a.test").contains("alert"));
    assert_eq!(std::fs::read_dir(&kept).expect("the directory").count(), 0);
}

#[test]
fn a_listener_may_do_without_uploads() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("without");
    let (own, uploaded) = (self_signed("own.test"), self_signed("a.test"));
    directory.write_pair("own", &own);
    let tls = format!("uploaded: false, certificates: [ {} ]", directory.entry("own"));
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &tls));
    let body = [uploaded.0.clone(), uploaded.1.clone()].concat();
    assert_eq!(proxy.admin("PUT", "/v1/certificates/mine", Some(&body)).status, 200);
    assert_eq!(seen(&proxy, "a.test"), serial(&own.0));
    let told = certificates(&proxy);
    assert_eq!(told[1]["listeners"], serde_json::json!([]), "{told:?}");
}

#[test]
fn rfc6066_8_an_answer_of_ocsp_is_stapled() {
    let endpoint = Endpoint::named("one");
    let directory = Directory::of("ocsp");
    directory.write_pair("a", &self_signed("a.test"));
    let file = |name: &str| directory.file(name).display().to_string();
    let (certificate, key, answer) = (file("a.pem"), file("a.key"), file("a.ocsp"));
    directory.write(
        "index",
        format!("V\t991231235959Z\t\t{}\tunknown\t/CN=a.test\n", serial(&std::fs::read(&certificate).expect("a file")))
            .as_bytes(),
    );
    let made = Command::new("openssl")
        .args(["ocsp", "-issuer", &certificate, "-cert", &certificate, "-reqout", &file("request")])
        .output();
    assert!(made.expect("openssl runs").status.success());
    let made = Command::new("openssl")
        .args(["ocsp", "-index", &file("index"), "-CA", &certificate, "-rsigner", &certificate, "-rkey", &key])
        .args(["-reqin", &file("request"), "-respout", &answer])
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let entry = directory.entry("a").replace(" }", &format!(", ocsp_file: \"{answer}\" }}"));
    let proxy = Proxy::start(PLIMSOLL, &config(&endpoint, &format!("certificates: [ {entry} ]")));
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address("web").to_string(), "-servername", "a.test", "-status"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("OCSP Response Status: successful") && text.contains("Cert Status: good"), "{text}");
}

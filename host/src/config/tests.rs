use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/config").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn good_files_are_accepted() {
    let files = fixtures("good");
    assert!(files.len() >= 3);
    for file in files {
        if let Err(errors) = load(&file) {
            panic!("{}:\n{errors}", file.display());
        }
    }
}

/// Every file under `bad` has beside it what is said about it. `UPDATE_GOLDEN=1` writes that anew.
#[test]
fn bad_files_are_refused_with_every_mistake_and_its_place() {
    let files = fixtures("bad");
    assert!(files.len() >= 15);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("the fixture can be read");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let errors = parse(&text, &name).expect_err(&name).to_string() + "\n";
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &errors).expect("the golden file can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(errors, expected, "{name}");
    }
}

/// A device says that it has no bytes, and never ends.
#[test]
fn files_without_an_end_are_not_read_to_it() {
    let errors = load(Path::new("/dev/zero")).expect_err("no configuration").to_string();
    assert!(errors.contains("more than 16777216 bytes"), "{errors}");
    for setting in ["secret_file: /dev/zero", "admin: { token_file: /dev/zero }"] {
        let errors = parse(setting, "test").expect_err("no secret").to_string();
        assert!(errors.contains("more than 65536 bytes"), "{errors}");
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
    let reference = reference_markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &reference).expect("the reference can be written");
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == reference, "run the tests with UPDATE_GOLDEN=1");
}

#[test]
fn targets_need_no_file() {
    let bind = ([127, 0, 0, 1], 8080).into();
    let admin = ([127, 0, 0, 1], 9900).into();
    let config = Config::to_targets(bind, admin, &["127.0.0.1:3000".into(), "localhost:3001".into()]).expect("valid");
    assert_eq!(config.clusters[0].endpoints.len(), 2);
    assert_eq!(config.clusters[0].balancer.plugin, "least-request");
    assert!(Config::to_targets(bind, admin, &["3000".into()]).is_err());
}

#[test]
fn mistakes_found_later_have_their_line_too() {
    let config = load(&fixtures("good")[0]).expect("valid");
    let errors = config.source.errors([("/clusters/0/balancer/config/nothing/here".to_owned(), "no".to_owned())]);
    assert!(errors.errors[0].line > 1);
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,400}") {
        let _ = parse(&text, "fuzz");
    }

    #[test]
    fn any_yaml_shaped_text_is_answered(text in "([a-z]{1,9}: ?|- |\\{|\\}|\\[|\\]|&a|\\*a|\n|  |\"|'|,|: |[0-9]{1,9}|clusters:|endpoints:|listeners:){0,60}") {
        let _ = parse(&text, "fuzz");
    }
}

#[test]
fn targets_may_be_urls_and_are_reached_as_these_say() {
    let listen = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let of = |targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
        Config::to_targets(listen(8080), listen(9900), &targets)
    };
    let addresses = |targets: &[&str]| {
        let cluster = of(targets).expect("the targets are valid").clusters.remove(0);
        let addresses: Vec<String> = cluster.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
        (cluster.tls.is_some(), addresses.join(" "))
    };
    assert_eq!(addresses(&["127.0.0.1:3000", "http://a.test/"]), (false, "127.0.0.1:3000 a.test:80".to_owned()));
    assert_eq!(addresses(&["https://a.test", "https://[::1]:8443"]), (true, "a.test:443 [::1]:8443".to_owned()));
    assert!(of(&["https://a.test", "b.test:80"]).is_err(), "TLS to one and not to the other");
    assert!(of(&["https://a.test/path"]).is_err());
}

#[test]
fn names_by_https_have_a_certificate_each_and_listeners_that_lead_there() {
    let listen = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let names = HttpsNames {
        names: vec!["a.test".into(), "b.test".into()],
        https: vec![listen(8443), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 8443))],
        http: vec![listen(80)],
        directory: None,
        email: Some("a@b.test".into()),
        ca_file: None,
        certificates_dir: "/kept".into(),
    };
    let config = Config::to_targets_by_https(&names, listen(9900), &["127.0.0.1:3000".into()]).expect("valid");
    let listeners: Vec<&str> = config.listeners.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(listeners, ["web", "redirect"]);
    assert_eq!(config.listeners[0].tls.as_ref().map(|tls| tls.acme.len()), Some(2));
    assert_eq!(config.listeners[1].redirect_https.as_ref().map(|redirect| redirect.port), Some(8443));
    let acme = config.acme.expect("an authority");
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(acme.challenges.first(), Some(&Challenge::Http01), "there is a listener on port 80");
}

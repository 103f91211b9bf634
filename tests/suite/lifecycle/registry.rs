//! `plimsoll plugin push` and `plugin pull`, with Debian's `docker-registry`.

use std::path::Path;
use std::process::{Command, Output};

use plimsoll_tests::{Server, guest};
use serde_json::Value;

use super::{scratch, stderr, stdout};
use crate::PLIMSOLL;

/// `user` and `secret`, by bcrypt.
const PASSWORDS: &str = "user:$2b$04$1sF3e2Kc5aaIpX29bOL8H.0CkUpZpOSY6.Q4x5ve3N7UFX4FeW54u\n";

fn registry(more: &str) -> Server {
    let mut server = Server::prepared("registry");
    let config = format!(
        "version: 0.1
storage: {{ filesystem: {{ rootdirectory: {:?} }} }}
http: {{ addr: \"{}\" }}
{more}",
        server.directory().join("data"),
        server.address()
    );
    std::fs::write(server.directory().join("config.yml"), config).expect("a file");
    std::fs::write(server.directory().join("passwords"), PASSWORDS).expect("a file");
    server.start("docker-registry", &["serve", "config.yml"]);
    server
}

/// As somebody who has never logged in anywhere, but as these say.
fn plimsoll(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PLIMSOLL);
    command.args(["plugin"]).args(arguments).arg("--plain-http").env("DOCKER_CONFIG", directory.join("docker"));
    command.envs(environment.iter().copied()).current_dir(directory).output().expect("the binary runs")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
    stdout(output)
}

#[test]
fn a_component_and_its_signature_come_back_as_they_went() {
    let directory = scratch("registry");
    let registry = registry("");
    let component = guest("first");
    std::fs::write(directory.join("mine.wasm"), component).expect("a file");
    std::fs::write(directory.join("mine.wasm.minisig"), "four lines\nof minisign\n").expect("a file");
    let tagged = format!("{}/team/mine:1.0", registry.address());
    let pushed = done(&plimsoll(&directory, &["push", &tagged, "mine.wasm"], &[]));
    let named = pushed.trim_end();
    assert!(named.starts_with(&format!("{}/team/mine@sha256:", registry.address())), "{named}");
    // The same is the same artifact.
    assert_eq!(done(&plimsoll(&directory, &["push", &tagged, "mine.wasm"], &[])), pushed);

    // It lies there as others of WebAssembly expect it.
    let (_, digest) = named.split_once('@').expect("a digest");
    let url = format!("http://{}/v2/team/mine/manifests/{digest}", registry.address());
    let accept = "accept: application/vnd.oci.image.manifest.v1+json";
    let manifest = Command::new("curl").args(["-sf", "-H", accept, &url]).output().expect("curl runs");
    let manifest: Value = serde_json::from_slice(&manifest.stdout).expect("JSON");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["size"], component.len());
    assert!(manifest["annotations"]["org.opencontainers.image.title"].is_string(), "{manifest:#}");

    let pulled = done(&plimsoll(&directory, &["pull", named, "--output", "back.wasm"], &[]));
    assert!(pulled.contains("signed") && pulled.contains(named), "{pulled}");
    assert!(std::fs::read(directory.join("back.wasm")).expect("a file") == component);
    let signature = std::fs::read_to_string(directory.join("back.wasm.minisig")).expect("a file");
    assert_eq!(signature, "four lines\nof minisign\n");

    // What has no signature leaves none of another beside it.
    std::fs::remove_file(directory.join("mine.wasm.minisig")).expect("it was there");
    done(&plimsoll(&directory, &["push", &tagged, "mine.wasm"], &[]));
    let pulled = done(&plimsoll(&directory, &["pull", &tagged, "-o", "back.wasm"], &[]));
    assert!(pulled.contains("not signed") && !directory.join("back.wasm.minisig").exists(), "{pulled}");
}

#[test]
fn bytes_that_are_not_those_of_the_digest_are_refused() {
    let directory = scratch("registry-bent");
    let registry = registry("");
    std::fs::write(directory.join("mine.wasm"), guest("first")).expect("a file");
    let tagged = format!("{}/mine:1", registry.address());
    done(&plimsoll(&directory, &["push", &tagged, "mine.wasm"], &[]));
    // Somebody has got at its files.
    let digest = done(&super::plimsoll(&directory, &["plugin", "inspect", "mine.wasm", "--json"]));
    let digest: Value = serde_json::from_str(&digest).expect("JSON");
    let digest = digest["digest"].as_str().expect("a digest");
    let blob = format!("data/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]);
    let blob = registry.directory().join(blob);
    let mut bent = std::fs::read(&blob).expect("the blob");
    *bent.last_mut().expect("a byte") ^= 1;
    std::fs::write(&blob, bent).expect("a file");
    let refused = plimsoll(&directory, &["pull", &tagged], &[]);
    assert!(!refused.status.success() && !stderr(&refused).is_empty());
    assert!(
        !directory.join("mine.wasm.minisig").exists() && stderr(&refused).contains("digest"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn who_is_asking_is_in_the_environment_or_where_docker_has_it() {
    let directory = scratch("registry-auth");
    let registry = registry("auth: { htpasswd: { realm: tests, path: passwords } }");
    std::fs::write(directory.join("mine.wasm"), guest("first")).expect("a file");
    let tagged = format!("{}/mine:1", registry.address());
    let push = ["push", &tagged, "mine.wasm"];
    let refused = plimsoll(&directory, &push, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let of = |password| [("PLIMSOLL_REGISTRY_USERNAME", "user"), ("PLIMSOLL_REGISTRY_PASSWORD", password)];
    let refused = plimsoll(&directory, &push, &of("wrong"));
    assert!(!refused.status.success() && !stderr(&refused).contains("wrong"), "{}", stderr(&refused));
    done(&plimsoll(&directory, &push, &of("secret")));

    std::fs::create_dir(directory.join("docker")).expect("a directory");
    let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}}}}", registry.address());
    std::fs::write(directory.join("docker/config.json"), config).expect("a file");
    done(&plimsoll(&directory, &["pull", &tagged, "-o", "back.wasm"], &[]));
    std::fs::write(directory.join("docker/config.json"), "{").expect("a file");
    let refused = plimsoll(&directory, &["pull", &tagged, "-o", "back.wasm"], &[]);
    assert!(stderr(&refused).contains("config.json"), "{}", stderr(&refused));
}

#[test]
fn a_reference_has_its_host_and_what_is_no_component_is_told() {
    let directory = scratch("registry-wrong");
    let refused = plimsoll(&directory, &["pull", "mine:1"], &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("HOST/REPOSITORY:TAG"), "{}", stderr(&refused));
    let refused =
        plimsoll(&directory, &["push", &format!("127.0.0.1:1/mine@sha256:{}", "0".repeat(64)), "text.wasm"], &[]);
    assert!(stderr(&refused).contains("a digest is what comes of it"), "{}", stderr(&refused));
    std::fs::write(directory.join("text.wasm"), "no component").expect("a file");
    let refused = plimsoll(&directory, &["push", "127.0.0.1:1/mine:1", "text.wasm"], &[]);
    assert!(!refused.status.success() && stderr(&refused).contains("text.wasm"), "{}", stderr(&refused));
    let refused = plimsoll(&directory, &["pull", "127.0.0.1:1/mine:1", "--ca", "text.wasm"], &[]);
    let said = stderr(&refused);
    assert!(said.contains("text.wasm") && said.contains("there is no certificate"), "{said}");
}

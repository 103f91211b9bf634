//! `plimsoll simulate`.

use std::path::Path;
use std::process::Output;

use plimsoll_tests::{example_plugin, guest};
use serde_json::Value;

use super::{plimsoll, repository, scratch, stderr, stdout};

fn simulate(directory: &Path, arguments: &[&str]) -> Output {
    plimsoll(directory, &[&["--log", "off", "simulate"], arguments].concat())
}

/// The report as JSON.
fn report(directory: &Path, arguments: &[&str]) -> Value {
    let output = simulate(directory, &[arguments, &["--json", "--html", "off"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn balancer<'a>(report: &'a Value, name: &str) -> &'a Value {
    let balancers = report["balancers"].as_array().expect("balancers");
    balancers.iter().find(|balancer| balancer["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

const SHORT: [&str; 6] = ["--seconds", "4", "--balancers", "random,least-request", "--scenario", "steady"];

#[test]
fn a_table_is_printed_and_a_page_is_written_that_needs_nothing_beside_it() {
    let directory = scratch("simulate-page");
    let output = simulate(&directory, &[&SHORT[..], &["--svg", "picture.svg"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("random") || line.starts_with("least")).collect();
    assert!(table.starts_with("steady: ") && table.contains("seed 1"), "{table}");
    assert!(rows.len() == 2 && rows[0].starts_with("least-request"), "the better one comes first: {table}");
    assert_eq!(stderr(&output).trim(), "wrote plimsoll-simulation.html");

    let page = std::fs::read_to_string(directory.join("plimsoll-simulation.html")).expect("the page");
    for loads in ["http://", "https://", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(loads), "the page has {loads}");
    }
    for shows in ["<svg", "least-request", "prefers-color-scheme", "--balancers random,least-request"] {
        assert!(page.contains(shows), "{shows} is not in the page");
    }
    let picture = std::fs::read_to_string(directory.join("picture.svg")).expect("the picture");
    assert!(picture.starts_with("<svg xmlns=") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("://").count(), 1, "nothing but the name of the format");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let keyed = ["--scenario", "resizing", "--seconds", "3", "--balancers", "maglev,least-time,resource"];
    for (name, arguments) in [("steady", &SHORT[..]), ("keyed", &keyed)] {
        let runs = ["one", "two"].map(|run| {
            let directory = scratch(&format!("simulate-again-{name}-{run}"));
            let output = simulate(&directory, &[arguments, &["--json", "--svg", "x.svg"]].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let file = |name: &str| std::fs::read(directory.join(name)).expect("a file");
            (stdout(&output), file("plimsoll-simulation.html"), file("x.svg"))
        });
        assert!(runs[0] == runs[1], "{name}");
        let other = report(&scratch("simulate-other"), &[arguments, &["--seed", "2"]].concat());
        let one: Value = serde_json::from_str(&runs[0].0).expect("JSON");
        assert_ne!(one["balancers"], other["balancers"], "{name}");
    }
}

#[test]
fn the_report_says_what_was_measured() {
    let directory = scratch("simulate-json");
    let told = report(&directory, &["--scenario", "resizing", "--seconds", "6", "--balancers", "ring-hash,random"]);
    assert_eq!((&told["shape"], &told["scenario"]["seed"]), (&1.into(), &1.into()));
    assert_eq!(told["scenario"]["events"].as_array().map(Vec::len), Some(3));
    let ring = balancer(&told, "ring-hash");
    for number in
        ["/requests", "/imbalance", "/busiest", "/revisits", "/latency_us/p50", "/latency_us/p99", "/failed/total"]
    {
        assert!(ring.pointer(number).is_some_and(Value::is_number), "{number} in {ring:#}");
    }
    assert_eq!(ring["endpoints"].as_array().map(Vec::len), Some(11));
    assert_eq!(ring["over_time"]["p99"].as_array().map(Vec::len), Some(100));
    let moved = ring["keys_moved"].as_array().expect("it goes by keys");
    let share = |key: &str| moved.iter().filter_map(|change| change[key].as_f64()).sum::<f64>();
    assert_eq!(moved.len(), 3);
    assert!(share("moved") < 1.3 * share("had_to") && share("had_to") > 0.2, "{moved:?}");
    assert_eq!(balancer(&told, "random").get("keys_moved"), None);
    assert!(told["command"].as_str().is_some_and(|command| command.contains("--scenario resizing")));
}

/// The real plugins, not the model.
#[test]
fn who_looks_at_times_spares_the_slow_endpoint_and_who_looks_at_loads_has_shorter_queues() {
    let directory = scratch("simulate-plugins");
    let arguments = ["--scenario", "slow-endpoint", "--seconds", "12"];
    let told = report(&directory, &[&arguments[..], &["--balancers", "round-robin,peak-ewma,least-time"]].concat());
    let p99 = |name: &str| balancer(&told, name)["latency_us"]["p99"].as_u64().expect("a time");
    let slow = |name: &str| balancer(&told, name)["endpoints"][3]["share"].as_f64().expect("a share");
    assert!(slow("peak-ewma") < 0.85 * slow("round-robin"), "{} {}", slow("peak-ewma"), slow("round-robin"));
    assert!(p99("peak-ewma") * 3 < p99("round-robin") && p99("least-time") * 3 < p99("round-robin"));
    let told = report(&directory, &["--seconds", "6", "--load", "0.9", "--balancers", "random,least-request"]);
    let p99 = |name: &str| balancer(&told, name)["latency_us"]["p99"].as_u64().expect("a time");
    assert!(p99("least-request") * 3 < p99("random") * 2);
}

/// A scenario of one's own.
fn of_mine(directory: &Path, scenario: &str) -> Value {
    let common = "duration: 6s\nwarm_up: 1s\narrivals: { poisson: { load: 0.4 } }\nservice: { constant: 10ms }\n";
    std::fs::write(directory.join("mine.yaml"), format!("{common}{scenario}")).expect("a scenario");
    report(directory, &["--cluster", "mine.yaml"])
}

#[test]
fn proxies_keep_to_their_zone_by_a_partitioner_and_what_leaves_it_is_counted() {
    let directory = scratch("simulate-zones");
    let zones = "proxies: 2\nworkers: 1\nzones: [ a, b ]\nother_zone_latency: 5ms\nbalancers: [ round-robin ]\n\
                 endpoints: [ { count: 4, id: a, zone: a }, { count: 4, id: b, zone: b } ]\n";
    let told = of_mine(&directory, zones);
    let anywhere = balancer(&told, "round-robin");
    assert!((0.45..0.55).contains(&anywhere["other_zone"].as_f64().expect("a share")), "{anywhere:#}");
    let told = of_mine(&directory, &format!("{zones}partitioners: [ {{ plugin: locality }} ]\n"));
    let local = balancer(&told, "round-robin");
    assert_eq!((&local["other_zone"], &local["failed"]["total"]), (&0.0.into(), &0.into()));
    let p50 = |of: &Value| of["latency_us"]["p50"].as_u64().expect("a time");
    assert!(p50(local) < p50(anywhere));
}

#[test]
fn groups_are_chosen_by_what_a_kind_of_requests_has() {
    let directory = scratch("simulate-kinds");
    let told = of_mine(
        &directory,
        "workers: 1\nbalancers: [ least-request ]\nrequests: [ { share: 3, headers: { x-version: v1 } }, { headers: { x-version: v2 } } ]\n\
         endpoints: [ { count: 3, id: one, metadata: { version: v1 } }, { id: two, metadata: { version: v2 } } ]\n\
         partitioners: [ { plugin: subset, config: { labels: [ { metadata: version, header: x-version } ], \
         fallback: none } } ]\n",
    );
    let measured = balancer(&told, "least-request");
    let attempts = |place: usize| measured["endpoints"][place]["attempts"].as_f64().expect("a number");
    let share = attempts(3) / (0..4).map(attempts).sum::<f64>();
    assert!((0.2..0.3).contains(&share), "{measured:#}");
    assert_eq!((&measured["failed"]["total"], &measured["faults"]), (&0.into(), &0.into()));
}

#[test]
fn who_refuses_its_configuration_is_named() {
    let directory = scratch("simulate-refused");
    let scenario = "arrivals: { poisson: { load: 0.4 } }\nservice: { constant: 10ms }\nendpoints: [ { count: 2 } ]\n\
                    partitioners: [ { plugin: subset, config: { labels: [ { name: x } ] } } ]\n";
    std::fs::write(directory.join("mine.yaml"), scenario).expect("a scenario");
    let output = simulate(&directory, &["--cluster", "mine.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("error: subset {") && told.contains("/labels/0/name: unknown field"), "{told}");
}

#[test]
fn clients_come_back_by_their_cookies_to_endpoints_that_remember_them() {
    let directory = scratch("simulate-affinity");
    let keyed = "workers: 2\nproxies: 2\nbalancers: [ least-request ]\nendpoints: [ { count: 5 } ]\n\
                 keys: { uniform: { count: 200 } }\nmemory: { keys: 60, miss_factor: 2 }\n";
    let told = of_mine(&directory, keyed);
    let anywhere = balancer(&told, "least-request");
    let bound = of_mine(&directory, &format!("{keyed}affinity: {{ plugin: cookie, config: {{ name: SRV }} }}\n"));
    let bound = balancer(&bound, "least-request");
    let share = |of: &Value, key: &str| of[key].as_f64().expect("a share");
    assert!(share(bound, "revisits") > 0.99 && share(anywhere, "revisits") < 0.4, "{bound:#}");
    assert!(share(bound, "in_memory") > 0.9 && share(anywhere, "in_memory") < 0.5);
}

#[test]
fn all_are_compared_with_a_baseline_and_the_cost_of_a_choice_is_measured() {
    let directory = scratch("simulate-baseline");
    let told = report(&directory, &[&SHORT[..], &["--baseline", "random", "--time-choices"]].concat());
    assert_eq!((&told["baseline"], &balancer(&told, "random")["to_baseline"]), (&"random".into(), &1.0.into()));
    let least_request = balancer(&told, "least-request");
    assert!(least_request["to_baseline"].as_f64().expect("a ratio") < 0.9);
    assert!(least_request["choice_ns"].as_u64().expect("a time") > 0);
    let command = told["command"].as_str().expect("a command");
    assert!(command.ends_with("--baseline random --time-choices"), "{command}");
    let output = simulate(&directory, &[&SHORT[..], &["--baseline", "randm", "--html", "off"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("not among those that are compared: random, least-request"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn balancers_of_ones_own_and_configured_ones_take_part() {
    let directory = scratch("simulate-own");
    std::fs::write(directory.join("mine.wasm"), example_plugin("tenant-pin")).expect("a component");
    let list = r#"./mine.wasm,least-request={"choices":4},least-request"#;
    let told = report(&directory, &["--seconds", "2", "--scenario", "hot-keys", "--balancers", list]);
    for name in ["mine", r#"least-request {"choices":4}"#, "least-request"] {
        assert_eq!(balancer(&told, name)["faults"], 0, "{name}");
    }
}

#[test]
fn a_balancer_that_fails_is_stood_in_for_and_named() {
    let directory = scratch("simulate-faulty");
    std::fs::write(directory.join("faulty.wasm"), guest("faulty")).expect("a component");
    for fault in ["lie", "trap"] {
        let list = format!(r#"./faulty.wasm={{"fault":"{fault}"}}"#);
        let output = simulate(&directory, &["--seconds", "1", "--balancers", &list, "--html", "off"]);
        assert_eq!(output.status.code(), Some(0), "{fault}: {}", stderr(&output));
        assert!(stdout(&output).contains("times it gave no usable answer"), "{fault}: {}", stdout(&output));
    }
}

#[test]
fn a_built_in_scenario_can_be_printed_and_made_ones_own() {
    let directory = scratch("simulate-print");
    let printed = stdout(&simulate(&directory, &["--scenario", "bursts", "--print"]));
    std::fs::write(directory.join("bursts.yaml"), &printed).expect("a file");
    let short = ["--seconds", "2", "--balancers", "random"];
    let own = report(&directory, &[&short[..], &["--cluster", "bursts.yaml"]].concat());
    let built_in = report(&directory, &[&short[..], &["--scenario", "bursts"]].concat());
    assert_eq!(own["balancers"], built_in["balancers"]);

    let of_ours = |line: &str| match line.trim_start().starts_with("bursty:") {
        true => "  recorded: { file: day.csv }\n".to_owned(),
        false => format!("{line}\n"),
    };
    let recorded: String = printed.lines().map(of_ours).collect();
    let lines: String =
        (0..3000).map(|number| format!("{}.{:03},8\n", 1_700_000_000 + number / 1000, number % 1000)).collect();
    std::fs::write(directory.join("recorded.yaml"), recorded).expect("a file");
    std::fs::write(directory.join("day.csv"), lines).expect("a file");
    let told = report(&directory, &["--cluster", "recorded.yaml", "--seconds", "3", "--balancers", "random"]);
    // Without the warm-up, which is 5 s of 120.
    assert_eq!(told["balancers"][0]["requests"], 2875);
}

#[test]
fn the_cluster_of_a_proxy_is_put_into_a_scenario_with_its_own_balancer() {
    let directory = scratch("simulate-config");
    let config = r#"listeners: [ { name: web, bind: "127.0.0.1:0", cluster: api } ]
clusters:
  - name: api
    balancer: { plugin: least-request, config: { choices: 3 } }
    endpoints: [ { address: "10.0.0.1:80", weight: 3 }, "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80" ]
"#;
    std::fs::write(directory.join("plimsoll.yaml"), config).expect("the configuration");
    let arguments = ["--cluster", "plimsoll.yaml", "--name", "api", "--like", "slow-endpoint", "--seconds", "3"];
    let told = report(&directory, &[&arguments[..], &["--balancers", "random"]].concat());
    assert_eq!(told["scenario"]["name"], "api");
    let own = balancer(&told, r#"least-request {"choices":3}"#);
    assert_eq!(own["endpoints"][0]["id"], "10.0.0.1:80");
    let attempts = |number: usize| own["endpoints"][number]["attempts"].as_f64().expect("a count");
    assert!((attempts(0) / attempts(1) - 3.0).abs() < 0.5, "by their weights");

    // So are its partitioners and its affinity, and where it runs.
    let config = config.replace(
        r#"endpoints: [ { address: "10.0.0.1:80", weight: 3 }, "10.0.0.2:80", "#,
        r#"partitioners: [ { plugin: locality } ]
    affinity: { plugin: cookie, config: { name: SRV } }
    endpoints: [ { address: "10.0.0.1:80", zone: a }, { address: "10.0.0.2:80", zone: b }, "#,
    );
    std::fs::write(directory.join("zones.yaml"), format!("node: {{ zone: a }}\n{config}")).expect("the configuration");
    let arguments =
        ["--cluster", "zones.yaml", "--name", "api", "--like", "hot-keys", "--seconds", "3", "--load", "0.1"];
    let told = report(&directory, &[&arguments[..], &["--balancers", "random"]].concat());
    let random = balancer(&told, "random");
    let attempts = |number: usize| random["endpoints"][number]["attempts"].as_u64().expect("a count");
    assert!(attempts(0) > 0 && (1..4).all(|number| attempts(number) == 0), "{random:#}");
    assert_eq!((&random["other_zone"], &random["revisits"]), (&0.0.into(), &1.0.into()));

    let output = simulate(&directory, &["--cluster", "plimsoll.yaml", "--name", "web", "--html", "off"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no cluster `web`; it has api"), "{}", stderr(&output));
}

#[test]
fn every_mistake_of_a_scenario_is_told_with_its_line() {
    let directory = repository("tests/fixtures/simulate/bad");
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).expect("the fixtures are there") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".yaml") else { continue };
        files += 1;
        let output = simulate(&directory, &["--cluster", &file, "--html", "off"]);
        let wanted = std::fs::read_to_string(directory.join(format!("{name}.txt"))).expect("what is expected");
        assert_eq!((output.status.code(), stderr(&output).trim_end()), (Some(2), wanted.trim_end()), "{file}");
        assert_eq!(stdout(&output), "", "{file}");
    }
    assert!(files >= 5, "{files}");
}

#[test]
fn wrong_use_is_2() {
    let directory = scratch("simulate-wrong");
    for (arguments, says) in [
        (&["--balancers", "fastest"][..], "no balancer `fastest`; there are round-robin"),
        (&["--balancers", "rules"], "no balancer `rules`"),
        (&["--balancers", "random={"], "not JSON"),
        (&["--balancers", r#"least-request={"choices":99}"#, "--seconds", "1"], "/choices"),
        (&["--scenario", "quiet"], "expected one of steady"),
        (&["--load", "0"], "0.001 to 10"),
        (&["--load", "9", "--seconds", "86400"], "at most"),
        (&["--name", "api"], "--cluster"),
        (&["--cluster", "nowhere.yaml"], "nowhere.yaml: reading failed"),
    ] {
        let output = simulate(&directory, &[arguments, &["--html", "off"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
    }
}

/// What docs/ALGORITHMS.md says is what comes of it. The other tables there are made the same way, by `cargo xtask gallery`.
#[test]
fn the_gallery_tells_the_truth() {
    let document = std::fs::read_to_string(repository("docs/ALGORITHMS.md")).expect("the document");
    let directory = scratch("simulate-gallery");
    let output = simulate(&directory, &["--scenario", "packing", "--markdown", "--html", "off"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(document.contains(stdout(&output).trim()), "the document lacks\n{}", stdout(&output));
}

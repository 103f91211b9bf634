//! The simulation against what queueing theory knows exactly. Tolerances are some four standard deviations of what such
//! runs differ by from seed to seed.

use crate::simple::{Kind, endpoint, play, queues};
use plimsoll_lab::{Arrivals, Endpoint, Measured, Scenario, Service};

fn mean_ms(measured: &Measured) -> f64 {
    measured.latency_us.mean.expect("answers") as f64 / 1000.0
}

fn assert_near(what: &str, measured: f64, theory: f64, tolerance: f64) {
    let off = measured / theory - 1.0;
    assert!(off.abs() < tolerance, "{what}: measured {measured:.3}, theory {theory:.3}, off by {:.2} %", off * 100.0);
}

/// M/M/1: a Poisson stream that is split at random is as many Poisson streams.
#[test]
fn random_choice_makes_queues_of_the_textbook() {
    for load in [0.5, 0.7, 0.8] {
        let measured = play(&queues(10, load, 400), Kind::Random);
        let theory = 10.0 / (1.0 - load);
        assert_near(&format!("mean at {load}"), mean_ms(&measured), theory, 0.05);
        // Sojourn times are exponential, too.
        let p99 = measured.latency_us.p99.expect("few fail") as f64 / 1000.0;
        assert_near(&format!("p99 at {load}"), p99, theory * 100_f64.ln(), 0.08);
        assert_near(&format!("utilization at {load}"), measured.utilization, load, 0.02);
    }
}

/// M/D/1 and M/G/1, by Pollaczek and Khinchine.
#[test]
fn what_waiting_costs_depends_on_how_much_service_times_differ() {
    let load = 0.7;
    for (service, squared_variation) in [
        (Service::Constant { us: 10_000.0 }, 0.0),
        (Service::LogNormal { median_us: 10_000.0 / 0.5_f64.exp(), sigma: 1.0 }, 1_f64.exp() - 1.0),
    ] {
        let measured = play(&Scenario { service, ..queues(10, load, 600) }, Kind::Random);
        assert_near("mean of service", service.mean_us(), 10_000.0, 1e-9);
        let theory = 10.0 * (1.0 + load * (1.0 + squared_variation) / (2.0 * (1.0 - load)));
        assert_near(&format!("{service:?}"), mean_ms(&measured), theory, 0.05);
    }
}

/// M/M/c, by Erlang's formula C.
#[test]
fn an_endpoint_of_several_places_is_one_queue() {
    let (places, load) = (8, 0.8);
    let scenario = Scenario {
        endpoints: vec![endpoint("one", places)],
        arrivals: Arrivals::Poisson { rate: load * f64::from(places) * 100.0 },
        ..queues(1, load, 400)
    };
    let measured = play(&scenario, Kind::Turns);
    let offered = f64::from(places) * load;
    let terms: Vec<f64> =
        (0..places).scan(1.0, |term, k| Some(std::mem::replace(term, *term * offered / f64::from(k + 1)))).collect();
    let last = terms[places as usize - 1] * offered / f64::from(places) / (1.0 - load);
    let waits = last / (terms.iter().sum::<f64>() + last);
    let theory = 10.0 + waits * 10.0 / (f64::from(places) * (1.0 - load));
    assert_near("mean", mean_ms(&measured), theory, 0.03);
}

/// The supermarket model (N. Vvedenskaya, R. Dobrushin, F. Karpelevich, 1996; M. Mitzenmacher, 1996): with two choices the
/// share of queues of at least i is load ^ (2^i - 1).
#[test]
fn two_choices_shorten_queues_by_as_much_as_they_should() {
    let load: f64 = 0.9;
    let two: f64 = (1..8).map(|i| load.powi(2_i32.pow(i) - 2)).sum::<f64>() * 10.0;
    let one = 10.0 / (1.0 - load);
    let measured = (play(&queues(100, load, 60), Kind::Random), play(&queues(100, load, 60), Kind::TwoChoices));
    assert_near("one choice", mean_ms(&measured.0), one, 0.1);
    assert_near("two choices", mean_ms(&measured.1), two, 0.05);
    assert!(mean_ms(&measured.0) > 3.0 * mean_ms(&measured.1));
    // And all choices are better still.
    assert!(mean_ms(&play(&queues(100, load, 60), Kind::Shortest)) < 0.5 * mean_ms(&measured.1));
}

#[test]
fn arrivals_come_at_the_rate_and_in_the_clumps_that_they_should() {
    let bursty = Arrivals::Bursty { calm_rate: 200.0, burst_rate: 1600.0, calm_us: 3_000_000, burst_us: 1_000_000 };
    let scenario = Scenario { arrivals: bursty, ..queues(10, 0.5, 4000) };
    assert_near("mean rate", scenario.rate(), 550.0, 1e-9);
    let measured = play(&scenario, Kind::Turns);
    assert_near("requests", measured.requests as f64 / 3600.0, 550.0, 0.08);
    let slices = &measured.over_time.requests;
    let (most, least) = (slices.iter().max().unwrap_or(&0), slices.iter().min().unwrap_or(&0));
    assert!(*most > 2 * least, "{most} {least}");
}

#[test]
fn bounded_pareto_times_have_the_mean_that_is_said_of_them() {
    let service = Service::Pareto { least_us: 4000.0, most_us: 1_000_000.0, shape: 1.3 };
    let scenario = Scenario {
        service,
        endpoints: (0..10).map(|number| endpoint(&format!("e{number}"), 1000)).collect::<Vec<Endpoint>>(),
        ..queues(10, 0.5, 1000)
    };
    // With places for all, a request takes as long as its service.
    let measured = play(&scenario, Kind::Random);
    assert_near("mean", mean_ms(&measured) * 1000.0, service.mean_us(), 0.02);
    assert!(measured.latency_us.max.is_some_and(|us| us <= 1_000_000));
    // The share of those above x is that of the law.
    let p99 = measured.latency_us.p99.expect("none fail") as f64;
    let within = 1.0 - (4000.0_f64 / 1_000_000.0).powf(1.3);
    assert_near("p99", p99, 4000.0 * (1.0 - 0.99 * within).powf(-1.0 / 1.3), 0.05);
}

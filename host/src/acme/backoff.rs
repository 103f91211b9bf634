use std::time::Duration;

/// The wait before what has failed so many times in a row is tried again: seconds when there is another challenge to try, else
/// a minute, then four times as long each time. That stays below the five failed validations that Let's Encrypt allows for a
/// name in an hour.
pub fn backoff(failures: u32, challenges: usize) -> Duration {
    let others = u32::try_from(challenges).unwrap_or(u32::MAX).saturating_sub(1);
    let wait = match failures {
        0 => return Duration::ZERO,
        _ if failures <= others => SOON,
        _ => {
            let times = 4u32.saturating_pow(failures - others - 1);
            FIRST.saturating_mul(times).min(LONGEST)
        }
    };
    // Many proxies that failed together do not try again together.
    wait.mul_f64(0.75 + 0.5 * fastrand::f64())
}

const SOON: Duration = Duration::from_secs(8);
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(6 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_become_longer_up_to_a_bound() {
        let around = |failures, challenges, seconds: u64| {
            let wait = backoff(failures, challenges).as_secs_f64();
            let expected = seconds as f64;
            assert!((expected * 0.75..=expected * 1.25).contains(&wait), "{failures} {challenges}: {wait}");
        };
        assert_eq!(backoff(0, 2), Duration::ZERO);
        for (failures, seconds) in [(1, 60), (2, 240), (3, 960), (4, 3840), (5, 15360), (6, 21600), (u32::MAX, 21600)] {
            around(failures, 1, seconds);
        }
        for (failures, seconds) in [(1, 8), (2, 60), (3, 240), (u32::MAX, 21600)] {
            around(failures, 2, seconds);
        }
    }

    #[test]
    fn no_more_than_five_fail_in_an_hour() {
        let mut begun = 0.0;
        let mut in_the_hour = 1;
        for failures in 1.. {
            begun += backoff(failures, 2).as_secs_f64() / 1.25;
            if begun > 3600.0 {
                break;
            }
            in_the_hour += 1;
        }
        assert!(in_the_hour <= 6, "{in_the_hour}");
    }
}

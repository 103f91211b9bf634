//! A balancer that uses the standard library as any program does: it is built for wasm32-wasip2, and so imports WASI.

use std::time::{Instant, SystemTime};

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Wait in every pick, which no plugin may.
    #[serde(default)]
    sleep: bool,
}

struct WasiClock {
    started: Instant,
    sleep: bool,
}

impl Balancer for WasiClock {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        println!("the year is {}", 1970 + since_1970.as_secs() / 31_556_952);
        println!("{} variables, {} arguments", std::env::vars().count(), std::env::args().count());
        println!("files: {}", std::fs::read_dir("/").is_ok());
        Ok(Self { started: Instant::now(), sleep: config.sleep })
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        if self.sleep {
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        assert!(Instant::now() >= self.started, "the clock went back");
        request.endpoints.ready().first().map(|e| Choice::slot(e.slot))
    }
}

plimsoll_sdk::plugin! { balancer: WasiClock }

//! Health in the control plane: drives probers over real connections, and feeds evaluators with what came of it and
//! with the outcomes of live traffic. What the verdicts mean for a cluster is decided in `control`.

mod datagrams;
mod evaluation;
mod exchange;
mod grpc;
mod http1;
mod http2;
mod http3;
mod line;
mod message;
mod probe;
mod round;
mod steps;
mod telling;
mod tls;
mod wire;

pub use evaluation::{Evaluation, Finder, Found, Policies};
pub use http1::Keep;
pub use line::{Line, NoAnswer};
pub use message::{Answer, Request};
pub use probe::{Place, Probed};
pub use round::probe;
pub use steps::{Step, Watcher};
pub use tls::ProbeTls;

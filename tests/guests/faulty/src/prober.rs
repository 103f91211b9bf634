use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};

use crate::fault::{At, Faults};

/// Is content with a connection.
pub(crate) struct Faulty {
    faults: Faults,
}

impl Prober for Faulty {
    type Config = Faults;
    type Session = ();

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _: &Target) -> ((), Vec<ProbeAction>) {
        self.faults.strike(At::Decide);
        ((), Vec::new())
    }

    fn advance(&mut self, (): &mut (), _: ProbeEvent) -> Vec<ProbeAction> {
        vec![ProbeAction::pass("connected")]
    }
}

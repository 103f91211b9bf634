use plimsoll_sdk::{Binding, Duration, Endpoints, host};

use crate::memo::Memo;
use crate::{Dates, Signer, Slots, Token};

/// Bindings that clients carry themselves. They outlast plugin and proxy, and any proxy with the same keys knows them.
#[derive(Debug)]
pub struct Tokens {
    signer: Signer,
    memo: Memo,
    slots: Slots,
    max_idle: Option<Duration>,
    max_life: Option<Duration>,
}

/// A token from a machine whose clock is further ahead than this is refused, as HAProxy does with dated cookies.
const AHEAD_SECS: u64 = 24 * 3600;
/// A token is renewed when this part of the idle time has passed, so that not every answer has to.
const RENEWED_AFTER_PART: u64 = 32;

impl Tokens {
    pub fn new(signer: Signer) -> Self {
        Self { signer, memo: Memo::default(), slots: Slots::default(), max_idle: None, max_life: None }
    }

    /// From now on tokens carry dates, and are worth nothing when they were not renewed for longer than `max_idle`, or
    /// were issued longer ago than `max_life`. What was issued without dates is accepted, and gets them.
    #[must_use]
    pub fn dated(self, max_idle: Option<Duration>, max_life: Option<Duration>) -> Self {
        Self { max_idle, max_life, ..self }
    }

    pub fn update(&mut self, endpoints: &Endpoints) {
        self.slots.update(endpoints);
    }

    /// Whom the bearer of a token is bound to.
    pub fn find(&mut self, text: &[u8], endpoints: &Endpoints) -> Binding {
        let Some(token) = self.token(text) else { return Binding::Lost };
        let binding = self.slots.binding(token.id_hash, endpoints);
        let Binding::Bound(slot) = binding else { return binding };
        match self.age(token.dates) {
            Age::Fresh => Binding::Bound(slot),
            Age::Renewable => Binding::Renew(slot),
            Age::Expired => Binding::Lost,
        }
    }

    /// A token for the endpoint that answered. None for the bearer of one that will do, or of an endpoint that is gone.
    pub fn issue(&mut self, text: Option<&[u8]>, slot: u32, endpoints: &Endpoints) -> Option<String> {
        let id_hash = endpoints.get(slot)?.id_hash;
        let held = text.and_then(|text| self.token(text)).filter(|token| token.id_hash == id_hash);
        let age = held.map(|token| self.age(token.dates));
        if age == Some(Age::Fresh) {
            return None;
        }
        let dates = self.is_dated().then(|| {
            let now = now_secs() as u32;
            let kept = held.filter(|_| age == Some(Age::Renewable)).and_then(|token| token.dates);
            Dates { issued: kept.map_or(now, |dates| dates.issued), seen: now }
        });
        Some(self.signer.issue(Token { id_hash, dates }))
    }

    fn token(&mut self, text: &[u8]) -> Option<Token> {
        self.memo.get_or(text, |text| self.signer.verify(text))
    }

    fn is_dated(&self) -> bool {
        self.max_idle.is_some() || self.max_life.is_some()
    }

    fn age(&self, dates: Option<Dates>) -> Age {
        if !self.is_dated() {
            return Age::Fresh;
        }
        let Some(dates) = dates else { return Age::Renewable };
        let now = now_secs();
        let (issued, seen) = (u64::from(dates.issued), u64::from(dates.seen));
        let over =
            |since: u64, most: Option<Duration>| most.is_some_and(|most| now.saturating_sub(since) > most.as_secs());
        if issued.max(seen) > now + AHEAD_SECS || over(seen, self.max_idle) || over(issued, self.max_life) {
            return Age::Expired;
        }
        let idle = now.saturating_sub(seen);
        match self.max_idle {
            Some(most) if idle > 0 && idle * RENEWED_AFTER_PART >= most.as_secs() => Age::Renewable,
            _ => Age::Fresh,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Renewable,
    Expired,
}

fn now_secs() -> u64 {
    host::unix_ms() / 1000
}

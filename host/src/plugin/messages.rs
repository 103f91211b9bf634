use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::api::v0_2::plimsoll::plugin::log::Level;
use super::events::PluginEvent;
use super::memory::Services;
use crate::telemetry::printable_within;

const MAX_BYTES: usize = 4096;
const PER_SECOND: u64 = 100;
/// Of what it said last before it failed.
const MAX_LAST_WORDS_BYTES: usize = 1024;

/// What an instance says in the log. Each message is one line, marked as the plugin's: nothing in it can pass for a line or
/// a field of the proxy's own. Lines have the target `plimsoll::guest`.
pub(super) struct Messages {
    plugin: Arc<str>,
    services: Arc<Services>,
    /// A second, and how many messages there were in it, in the lower bits. One thread at a time calls an instance.
    spent: AtomicU64,
    /// Whether it may write to the log.
    is_heard: bool,
    /// Whether there is something in `last_error`: what is read at every call.
    has_error: AtomicBool,
    /// The last error that it told within a call. If the call fails it is why: the SDK tells panics so.
    last_error: Mutex<Option<String>>,
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

const COUNT_BITS: u32 = 20;

impl Messages {
    pub(super) fn of(plugin: Arc<str>, services: Arc<Services>, is_heard: bool) -> Self {
        Self {
            plugin,
            services,
            is_heard,
            spent: AtomicU64::default(),
            has_error: AtomicBool::default(),
            last_error: Mutex::default(),
        }
    }

    pub(super) fn begin_call(&self) {
        if self.has_error.load(Ordering::Relaxed) {
            self.take_last_error();
        }
    }

    /// The last error that it told within the call.
    pub(super) fn take_last_error(&self) -> Option<String> {
        self.has_error.store(false, Ordering::Relaxed);
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn write(&self, level: Level, message: &str) {
        if level == Level::Error {
            let words = printable_within(message, MAX_LAST_WORDS_BYTES);
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
            self.has_error.store(true, Ordering::Relaxed);
        }
        if self.services.is_for_trial() || !self.is_heard {
            // What is said on trial is of no interest to who reads the log of a proxy.
            return;
        }
        if !self.spend() {
            return self.services.registry().plugin_message_dropped(&self.plugin);
        }
        let plugin = &*self.plugin;
        // A quotation mark within begins no field.
        let printable = printable_within(message, MAX_BYTES);
        let message = printable.replace('"', "\\\"");
        self.services.events().tell(|| PluginEvent::Message {
            at_unix_ms: self.services.unix_ms(),
            plugin: self.plugin.clone(),
            level: name(level),
            message: printable,
        });
        match level {
            Level::Error => tracing::error!(target: "plimsoll::guest", plugin, "{message}"),
            Level::Warn => tracing::warn!(target: "plimsoll::guest", plugin, "{message}"),
            Level::Info => tracing::info!(target: "plimsoll::guest", plugin, "{message}"),
            Level::Debug => tracing::debug!(target: "plimsoll::guest", plugin, "{message}"),
        }
    }

    fn spend(&self) -> bool {
        let second = self.services.now_ms() / 1000;
        let before = self.spent.load(Ordering::Relaxed);
        let spent = if before >> COUNT_BITS == second { before & ((1 << COUNT_BITS) - 1) } else { 0 };
        if spent < PER_SECOND {
            self.spent.store(second << COUNT_BITS | (spent + 1), Ordering::Relaxed);
        }
        spent < PER_SECOND
    }
}

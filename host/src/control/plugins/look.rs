use std::collections::BTreeMap;
use std::sync::Arc;

use super::gate::Broken;
use crate::config::{Config, Conformance};
use crate::control::mistake::Mistake;
use crate::control::rollout::Uses;
use crate::control::state::Control;
use crate::plugin::{PolicyConfig, Source};

impl Control {
    /// Judges what a configuration uses and was not judged for it yet, before anything waits for the answer. What does not
    /// load is for the preparation to tell.
    pub(in crate::control) fn look_at(&self, config: &Config, origin: &str) -> Vec<Mistake> {
        let uses = Uses::of(config);
        let mut mistakes = Vec::new();
        // Else whoever may send configurations could let in whatever they like.
        if !self.loader.keys.are(&config.plugin_keys) {
            let message = "the keys that plugins are to be signed with are taken at the start: end the proxy, and start it with them";
            mistakes.push(Mistake { pointer: "/plugin_keys".to_owned(), message: message.to_owned() });
        }
        let (_, live) = self.plugins_for(config, &uses, &mut Vec::new());
        for (name, plugin) in live {
            let declared = config.plugins.iter().find(|declared| *declared.name == *name);
            let conformance = declared.map_or(Conformance::Quick, |declared| declared.conformance);
            if plugin.source == Source::BuiltIn
                || conformance == Conformance::Off
                || self.gate.is_exempt(&plugin.digest)
            {
                continue;
            }
            let of = |map: &BTreeMap<Arc<str>, Vec<PolicyConfig>>| map.get(&name).cloned().unwrap_or_default();
            let used = [of(&uses.data), of(&uses.control)].concat();
            let judgement = self.gate.judge(&self.engine, &plugin, &used, conformance);
            let pointer = used.first().map(|policy| policy.pointer.clone()).unwrap_or_default();
            for Broken { message, .. } in &judgement.broken {
                let message = format!("plugin `{name}` is not sound: {message}");
                mistakes.push(Mistake { pointer: pointer.clone(), message });
            }
            if judgement.is_cut_short && judgement.broken.is_empty() {
                let left = judgement.left_out();
                if origin == "start" {
                    tracing::warn!(
                        target: "audit",
                        plugin = &*name,
                        "THE PLUGIN WAS NOT LOOKED AT WHOLE, since time ran out, and is live all the same; left out: {left}"
                    );
                } else {
                    let message = format!("plugin `{name}` could not be looked at whole in time; left out: {left}");
                    mistakes.push(Mistake { pointer, message });
                }
            }
        }
        mistakes
    }
}

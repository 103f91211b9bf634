"""A balancer that takes the endpoints in turns, a burst of requests each.

The contract is in wit/, with the meaning of every function and field; `componentize-py -d wit -w balancer-plugin bindings .` writes it down
in Python, for editors. `option` is None for none, what is raised as `Err` is the `error` of a result.
"""

import json
from dataclasses import dataclass, field

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.balancer import Choice, Plan
from wit_world.exports.lifecycle import Manifest
from wit_world.imports.types import Availability, ConfigError

SCHEMA = {
    "type": "object",
    "properties": {
        "burst": {"type": "integer", "minimum": 1, "default": 1, "description": "Requests in a row to one endpoint."},
    },
    "additionalProperties": False,
}

MOST_BRACKETS = 100


@dataclass
class Policy:
    burst: int
    picks: int = 0
    # Slots of the first level that has somebody, and those of further ones.
    open: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    def choose(self, tried):
        for slots in ([s for s in self.open if s not in tried], [s for s in self.others if s not in tried], self.open):
            if slots:
                turn = self.picks // self.burst
                self.picks += 1
                return Choice(slots[turn % len(slots)], 0)
        return None


# What is known of each policy, by its number.
policies: dict[int, Policy] = {}


def read_burst(config):
    # The host has held it to the schema, but for what a schema cannot say. The stack of a plugin ends before Python thinks that texts
    # are nested too deep.
    if config.count("[") + config.count("{") > MOST_BRACKETS:
        raise Err([ConfigError("", "expected an object that is nested less")])
    try:
        burst = (json.loads(config) or {}).get("burst", 1)
    except (ValueError, AttributeError):
        raise Err([ConfigError("", "expected an object")]) from None
    if not isinstance(burst, int) or isinstance(burst, bool) or burst < 1:
        raise Err([ConfigError("/burst", "expected a whole number from 1 on")])
    return burst


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Manifest(
            name="{{name}}",
            version="0.1.0",
            summary="takes endpoints in turns, in bursts",
            config_schemas=[("balancer", json.dumps(SCHEMA))],
            more=[],
        )

    def save(self, role, policy):
        return b""

    def restore(self, role, policy, state):
        return False


class Balancer(exports.Balancer):
    def create(self, policy, config):
        policies[policy] = Policy(read_burst(config))
        return Plan(outcomes=False, reasons=[], prepares=False, attributes=[], keys=False, tick_ms=None, more=[])

    def destroy(self, policy):
        policies.pop(policy, None)

    def endpoints(self, policy, generation, endpoints):
        known = policies.get(policy)
        if known:
            ready = [e for e in endpoints if e.availability == Availability.READY and e.weight > 0]
            # Further levels are for when there is nobody in the first.
            first = min((e.priority for e in ready), default=0)
            known.open = [e.slot for e in ready if e.priority == first]
            known.others = [e.slot for e in ready if e.priority != first]

    def changes(self, policy, base, generation, changes):
        # Then the host tells all of them.
        return False

    def prepare(self, policy):
        return []

    def adopt(self, policy, prepared):
        pass

    def pick(self, policy, key):
        known = policies.get(policy)
        return known and known.choose([])

    def pick_again(self, policy, key, attempt, tried):
        known = policies.get(policy)
        return known and known.choose(tried)

    def pick_for(self, policy, question):
        known = policies.get(policy)
        return known and known.choose(question.tried)

    def tick(self, policy, now_ms):
        pass

    def outcomes(self, policy, batch):
        pass

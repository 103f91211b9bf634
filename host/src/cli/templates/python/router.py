"""A router that sends clients with the cookie `beta` to a cluster of their own.

The contract is in wit/, with the meaning of every function and field; `componentize-py -d wit -w router-plugin bindings .` writes it down
in Python, for editors. `option` is None for none, what is raised as `Err` is the `error` of a result.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import Manifest
from wit_world.exports.router import Action_Forward, Action_NoRoute, Decision, Plan, RouteSettings, Timeouts
from wit_world.imports.types import Attribute_Cookie, ConfigError

SCHEMA = {
    "type": "object",
    "properties": {
        "beta": {"type": "string", "description": "Cluster for clients of the beta."},
        "stable": {"type": "string", "description": "Cluster for everybody else."},
    },
    "required": ["beta", "stable"],
    "additionalProperties": False,
}

MOST_BRACKETS = 100

BETA, STABLE = 0, 1

# Numbers of the policies that there are.
policies: set[int] = set()


def read(config):
    # The host has held it to the schema, but for what a schema cannot say. The stack of a plugin ends before Python thinks that texts
    # are nested too deep.
    if config.count("[") + config.count("{") > MOST_BRACKETS:
        raise Err([ConfigError("", "expected an object that is nested less")])
    try:
        names = {key: (json.loads(config) or {}).get(key) for key in ("beta", "stable")}
    except (ValueError, AttributeError):
        raise Err([ConfigError("", "expected an object")]) from None
    mistakes = [key for key, name in names.items() if not isinstance(name, str)]
    if mistakes:
        raise Err([ConfigError(f"/{key}", "expected the name of a cluster") for key in mistakes])
    return names


def route(label):
    """What holds for the requests of a route: nothing in particular."""
    return RouteSettings(
        label=label,
        timeouts=Timeouts(request_ms=None, first_byte_ms=None),
        retry=None,
        affinity=None,
        filters=[],
        rewrite=None,
        mirrors=[],
        more=[],
    )


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Manifest(
            name="{{name}}",
            version="0.1.0",
            summary="sends clients of the beta to a cluster of their own",
            config_schemas=[("router", json.dumps(SCHEMA))],
            more=[],
        )

    def save(self, role, policy):
        return b""

    def restore(self, role, policy, state):
        return False


class Router(exports.Router):
    def create(self, policy, config):
        names = read(config)
        policies.add(policy)
        return Plan(
            attributes=[Attribute_Cookie("beta")],
            clusters=[names["beta"], names["stable"]],
            routes=[route("beta"), route("stable")],
            # While the plugin cannot be asked, everybody is served by the cluster for everybody.
            fallback=STABLE,
            more=[],
        )

    def destroy(self, policy):
        policies.discard(policy)

    def route(self, policy, attributes):
        if policy not in policies:
            return Decision(action=Action_NoRoute(), route=None, repeatable=False)
        which = STABLE if attributes[0] is None else BETA
        return Decision(action=Action_Forward(which), route=which, repeatable=True)

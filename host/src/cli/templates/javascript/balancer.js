// A balancer that takes the endpoints in turns, a burst of requests each. The contract is in wit/, with the meaning of every function and
// field; names are in camel case here, `option` is undefined for none, 64-bit numbers are BigInts.

/** What a policy knows, by its number. */
const policies = new Map();

const configSchema = {
  type: "object",
  properties: {
    burst: { type: "integer", minimum: 1, default: 1, description: "Requests in a row to one endpoint." },
  },
  additionalProperties: false,
};

export const lifecycle = {
  describe() {
    return {
      name: "{{name}}",
      version: "0.1.0",
      summary: "takes endpoints in turns, in bursts",
      configSchemas: [["balancer", JSON.stringify(configSchema)]],
      more: [],
    };
  },
  save() {
    return new Uint8Array();
  },
  restore() {
    return false;
  },
};

export const balancer = {
  create(policy, config) {
    // The host has held it to the schema, but for what a schema cannot say.
    const burst = parsed(config).burst ?? 1;
    if (!Number.isInteger(burst) || burst < 1) {
      // What is thrown is the `error` of the result.
      throw [{ path: "/burst", message: "expected a whole number from 1 on" }];
    }
    policies.set(policy, { burst, picks: 0, open: [] });
    return { outcomes: false, reasons: [], prepares: false, attributes: [], keys: false, tickMs: undefined, more: [] };
  },
  destroy(policy) {
    policies.delete(policy);
  },
  endpoints(policy, _generation, endpoints) {
    const state = policies.get(policy);
    if (state) {
      const open = endpoints.filter((endpoint) => endpoint.availability === "ready" && endpoint.weight > 0);
      // Further levels are for when there is nobody in the first.
      const first = Math.min(...open.map((endpoint) => endpoint.priority));
      state.open = open.filter((endpoint) => endpoint.priority === first).map((endpoint) => endpoint.slot);
      state.others = open.filter((endpoint) => endpoint.priority !== first).map((endpoint) => endpoint.slot);
    }
  },
  changes() {
    // Then the host tells all of them.
    return false;
  },
  prepare() {
    return new Uint32Array();
  },
  adopt() {},
  pick(policy) {
    return choose(policy, []);
  },
  pickAgain(policy, _key, _attempt, tried) {
    return choose(policy, tried);
  },
  pickFor(policy, question) {
    return choose(policy, question.tried);
  },
  tick() {},
  outcomes() {},
};

function parsed(config) {
  try {
    return JSON.parse(config) ?? {};
  } catch {
    throw [{ path: "", message: "expected JSON" }];
  }
}

function choose(policy, tried) {
  const state = policies.get(policy);
  const untried = (slots) => (slots ?? []).filter((slot) => !tried.includes(slot));
  const choices = [untried(state?.open), untried(state?.others), state?.open ?? []].find((slots) => slots.length > 0);
  if (!choices) {
    return undefined;
  }
  const turn = Math.floor(state.picks / state.burst);
  state.picks += 1;
  return { slot: choices[turn % choices.length], reason: 0 };
}

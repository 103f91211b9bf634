// A router that sends clients with the cookie `beta` to a cluster of their own. The contract is in wit/, with the meaning of every function and
// field; names are in camel case here, `option` is undefined for none, 64-bit numbers are BigInts.

/** Numbers of the policies that there are. */
const policies = new Set();

const configSchema = {
  type: "object",
  properties: {
    beta: { type: "string", description: "Cluster for clients of the beta." },
    stable: { type: "string", description: "Cluster for everybody else." },
  },
  required: ["beta", "stable"],
  additionalProperties: false,
};

export const lifecycle = {
  describe() {
    return {
      name: "{{name}}",
      version: "0.1.0",
      summary: "sends clients of the beta to a cluster of their own",
      configSchemas: [["router", JSON.stringify(configSchema)]],
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

const BETA = 0;
const STABLE = 1;

/** What holds for the requests of a route: nothing in particular. */
function route(label) {
  return {
    label,
    timeouts: { requestMs: undefined, firstByteMs: undefined },
    retry: undefined,
    affinity: undefined,
    filters: [],
    rewrite: undefined,
    mirrors: [],
    more: [],
  };
}

export const router = {
  create(policy, config) {
    // The host has held it to the schema, but for what a schema cannot say.
    const { beta, stable } = parsed(config);
    const mistakes = Object.entries({ beta, stable }).filter(([, name]) => typeof name !== "string");
    if (mistakes.length > 0) {
      // What is thrown is the `error` of the result.
      throw mistakes.map(([key]) => ({ path: `/${key}`, message: "expected the name of a cluster" }));
    }
    policies.add(policy);
    return {
      attributes: [{ tag: "cookie", val: "beta" }],
      clusters: [beta, stable],
      routes: [route("beta"), route("stable")],
      // While the plugin cannot be asked, everybody is served by the cluster for everybody.
      fallback: STABLE,
      more: [],
    };
  },
  destroy(policy) {
    policies.delete(policy);
  },
  route(policy, [cookie]) {
    if (!policies.has(policy)) {
      return { action: { tag: "no-route" }, route: undefined, repeatable: false };
    }
    const which = cookie === undefined ? STABLE : BETA;
    return { action: { tag: "forward", val: which }, route: which, repeatable: true };
  },
};

function parsed(config) {
  try {
    return JSON.parse(config) ?? {};
  } catch {
    throw [{ path: "", message: "expected JSON" }];
  }
}

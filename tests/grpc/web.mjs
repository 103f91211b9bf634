// Calls by gRPC-Web, as browsers make them: `node web.mjs DIRECTORY URL VERSION`, where DIRECTORY has `node_modules`. Prints what
// comes of each.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , directory, baseUrl, httpVersion] = process.argv;
const from = createRequire(`${directory}/package.json`);
const load = (name) => import(pathToFileURL(from.resolve(name)));
const { create, createFileRegistry } = await load("@bufbuild/protobuf");
const { FileDescriptorProtoSchema, file_google_protobuf_wrappers } = await load("@bufbuild/protobuf/wkt");
const { createClient, Code } = await load("@connectrpc/connect");
const { createGrpcWebTransport } = await load("@connectrpc/connect-node");

const type = ".google.protobuf.StringValue";
const method = (name, more) => ({ name, inputType: type, outputType: type, ...more });
const file = create(FileDescriptorProtoSchema, {
  name: "calls.proto",
  package: "test",
  syntax: "proto3",
  dependency: ["google/protobuf/wrappers.proto"],
  service: [
    {
      name: "Calls",
      method: [method("Echo"), method("EchoMany", { serverStreaming: true }), method("Fail"), method("Wait")],
    },
  ],
});
const registry = createFileRegistry(file, (name) =>
  name === "google/protobuf/wrappers.proto" ? file_google_protobuf_wrappers : undefined,
);
const client = createClient(registry.getService("test.Calls"), createGrpcWebTransport({ baseUrl, httpVersion }));
const told = async (call) => {
  try {
    return await call();
  } catch (error) {
    return `${Code[error.code]} ${error.rawMessage} ${error.metadata.get("x-why")}`;
  }
};

const seen = {};
const noted = {
  onHeader: (headers) => (seen.header = headers.get("x-initial")),
  onTrailer: (trailers) => (seen.trailer = trailers.get("x-trailing")),
};
const long = "x".repeat(300_000);
console.log(await told(async () => (await client.echo({ value: "hello" }, noted)).value), seen.header, seen.trailer);
console.log(await told(async () => (await client.echo({ value: long })).value === long));
const many = [];
console.log(
  await told(async () => {
    for await (const one of client.echoMany({ value: "again" })) many.push(one.value);
    return many.join(" ");
  }),
);
console.log(await told(() => client.fail({})));
console.log(await told(() => client.wait({}, { timeoutMs: 300 })));
process.exit(0);

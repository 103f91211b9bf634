// Makes the component. Without the features that are left out here it needs nothing of WASI, and loads with the grants of any plugin.
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "plugin.js",
  witPath: "wit",
  worldName: "{{role}}-plugin",
  disableFeatures: ["clocks", "fetch-event", "http", "random", "stdio"],
});
await writeFile(process.argv[2], component);

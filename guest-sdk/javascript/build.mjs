// node build.mjs SOURCE.js WORLD OUT.wasm: a component of a module. StarlingMonkey: QuickJS loses 64-bit integers.
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const [sourcePath, worldName, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath,
  witPath: "zerodb.wit",
  worldName,
  disableFeatures: ["http", "fetch-event"], // guests have no network; the host would refuse it
});
await writeFile(output, component);
process.exit(0); // the tools leave a worker behind

// node build.mjs CORE.wasm WORLD OUT.wasm: a component of a core module that has the names of the canonical ABI.
import { componentEmbed, componentNew, preview1AdapterReactorPath } from "@bytecodealliance/jco";
import { readFile, writeFile } from "node:fs/promises";

const [core, world, output] = process.argv.slice(2);
const witSource = await readFile("zerodb.wit", "utf8");
const embedded = await componentEmbed({ binary: new Uint8Array(await readFile(core)), witSource, world });
const adapter = [["wasi_snapshot_preview1", new Uint8Array(await readFile(preview1AdapterReactorPath()))]];
const usesWasi = WebAssembly.Module.imports(await WebAssembly.compile(await readFile(core))).some(
  ({ module }) => module === "wasi_snapshot_preview1",
);
await writeFile(output, await componentNew(embedded, usesWasi ? adapter : []));

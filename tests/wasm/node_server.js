// A second WebAssembly engine for the emitter's tests: one JSON request a line, one JSON answer a line.
// {wasm, pages}  compiles and instantiates over a fresh shared memory        -> {ok} or {error}
// {write: [address, base64], call: name, read: [address, bytes]}             -> {data} or {trap}
const readline = require("readline");
let memory, exports_;
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  let answer;
  try {
    if (request.wasm) {
      memory = new WebAssembly.Memory({ initial: request.pages, maximum: 65535, shared: true });
      const module_ = new WebAssembly.Module(Buffer.from(request.wasm, "base64"));
      exports_ = new WebAssembly.Instance(module_, { zerodb: { memory } }).exports;
      answer = { ok: true };
    } else {
      const bytes = new Uint8Array(memory.buffer);
      bytes.set(Buffer.from(request.write[1], "base64"), request.write[0]);
      try {
        exports_[request.call]();
        const [start, size] = request.read;
        answer = { data: Buffer.from(bytes.slice(start, start + size)).toString("base64") };
      } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError)) throw error;
        answer = { trap: String(error) };
      }
    }
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});

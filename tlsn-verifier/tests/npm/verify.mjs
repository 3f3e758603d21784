// Upstream's verdict on alpha.12 presentations, by its own npm build.
//
// Reads one path a line from stdin; writes one JSON object a line:
//   {"ok":true,"server_name","time","key","sent","sent_ranges","received","received_ranges"}
//   {"ok":false,"error"}
// bytes in hexadecimal, with zeroes where nothing is revealed.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

// The package expects a browser; what it does with these at load time is only to listen.
globalThis.self = globalThis;
globalThis.addEventListener = () => {};
// Upstream reports panics on the console; stdout is ours, so they go to stderr.
console.log = console.error;

const wasm = readFileSync(new URL("./node_modules/tlsn-wasm/tlsn_wasm_bg.wasm", import.meta.url));
let instances = 0;

// A new copy of the module each time: a panic leaves an instance unusable.
async function load() {
  instances += 1;
  const module = await import(`./node_modules/tlsn-wasm/tlsn_wasm.js?${instances}`);
  await module.default({ module_or_path: wasm });
  return module;
}

const hex = (bytes) => Buffer.from(bytes ?? []).toString("hex");
const pairs = (ranges) => (ranges ?? []).map(({ start, end }) => [start, end]);

function verify(upstream, path) {
  const presentation = upstream.Presentation.deserialize(new Uint8Array(readFileSync(path)));
  const key = presentation.verifying_key();
  const { server_name, connection_info, transcript } = presentation.verify();
  return {
    ok: true,
    server_name: server_name ?? null,
    time: Number(connection_info.time),
    key: hex(key.data),
    sent: hex(transcript?.sent),
    sent_ranges: pairs(transcript?.sent_authed),
    received: hex(transcript?.recv),
    received_ranges: pairs(transcript?.recv_authed),
  };
}

let upstream = await load();
for await (const path of createInterface({ input: process.stdin })) {
  let verdict;
  try {
    verdict = verify(upstream, path);
  } catch (error) {
    verdict = { ok: false, error: String(error?.message ?? error) };
    if (error instanceof WebAssembly.RuntimeError) {
      upstream = await load();
    }
  }
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
}
process.exit(0);

// What a browser loads: the sizes of the bundle's files as they go over the wire.

import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

export const title = "what a browser loads, compressed";

export async function measure(report) {
  const folder = join(resolve(process.env.SEAMLESS_SITE ?? "target/site"), "pkg");
  const files = readdirSync(folder);
  const size = (name) => statSync(join(folder, name)).size / 1000;
  const wasm = files.filter((name) => name.endsWith(".wasm.br"));
  if (wasm.length !== 1) throw new Error(`expected one compressed WASM file in ${folder}, found ${wasm.length}: build the dashboard`);
  report.row("WASM, brotli", "KB", size(wasm[0]), { bar: { of: "max", most: 400 } });
  for (const name of files.filter((name) => name.endsWith(".br") && name !== wasm[0])) report.row(name.replace(/[.-][0-9a-f]{8,}/, ""), "KB", size(name));
  const bare = wasm[0].slice(0, -3);
  if (files.includes(bare)) report.row("WASM, not compressed", "KB", size(bare), { reference: true });
}

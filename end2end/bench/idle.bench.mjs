// A server with nothing to do: how soon it is ready on a warm start, and what it holds in memory.

import { readFile } from "node:fs/promises";
import { Server, at, bar, machine } from "./lib.mjs";

const server = await Server.start();
try {
  const ready = [];
  for (let n = 0; n < 5; n++) {
    await server.down();
    ready.push(await server.up());
  }
  await fetch(`${server.url}/login`);
  await server.api("GET", "/environments");
  // Long enough for every worker to have had its turn.
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const status = await readFile(`/proc/${server.child.pid}/status`, "utf8");
  const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) / 1024;
  console.log(`a server that idles on ${machine()}`);
  bar("start to /readyz, median", at(ready, 0.5), 1000, "ms");
  bar("resident memory", resident, 40, "MB");
} finally {
  await server.remove();
}

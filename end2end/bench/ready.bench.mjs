// How soon a server is ready on a warm start: its binary and its database are there, nothing has to be made.

import { spawn } from "node:child_process";
import { Server, freePort, plain, untilOk } from "./lib/server.mjs";
import { now } from "./lib/numbers.mjs";

export const title = "a warm start, from the start of the process to the first 200 on /readyz";
const times = 10;

export async function measure(report) {
  const server = await Server.start();
  try {
    const ours = [];
    for (let n = 0; n < times; n++) {
      await server.down();
      ours.push(await server.up());
    }
    const theirs = [];
    for (let n = 0; n < times; n++) theirs.push(await nodeServer());
    report.row("seamless serve", "ms", ours, { bar: { of: "median", most: 1000 } });
    report.row("node -e with an http server", "ms", theirs, { reference: true });
  } finally {
    await server.remove();
  }
}

async function nodeServer() {
  const port = await freePort();
  const began = now();
  const child = spawn(process.execPath, ["-e", `require("http").createServer((q, a) => a.end("ok")).listen(${port}, "127.0.0.1")`], { env: plain(), stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  await untilOk(`http://127.0.0.1:${port}/`, began + 30_000, () => child.exitCode === null);
  const took = now() - began;
  child.kill("SIGTERM");
  await ended;
  return took;
}

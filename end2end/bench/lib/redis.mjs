// A real Redis for a measurement, with nothing in it, which goes away. Refuses to skip: a measurement that needs it says so where there is none.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, plain, run } from "./server.mjs";
import { now, pause } from "./numbers.mjs";

/** Starts one; answers its URL, how to ask it and how to end it. */
export async function redis() {
  const [folder, port] = [await mkdtemp(join(tmpdir(), "seamless-bench-redis-")), await freePort()];
  const words = ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", "--dir", folder];
  const child = spawn("redis-server", words, { env: plain(), stdio: "ignore" });
  const ended = new Promise((go) => child.on("exit", go).on("error", go));
  const said = async (...words) => (await run("redis-cli", ["-p", String(port), ...words])).stdout.trim();
  for (const until = now() + 10_000; ; await pause(50)) {
    if (await said("PING").then((word) => word === "PONG", () => false)) break;
    if (now() > until || child.pid === undefined) throw new Error("this measurement needs Redis: install it (Debian: `apt-get install redis-server`)");
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    said,
    async stop() {
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

// The small programs that measurements run: compiled once, kept in a folder that the caller removes.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, plain, run } from "./server.mjs";
import { now } from "./numbers.mjs";
import { connect } from "node:net";

const from = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
export const serviceFile = from("load/service.mjs");

/** The demo's `shop`: a service that is up within milliseconds. */
export async function quickService(folder) {
  const out = join(folder, "quick-service");
  await run("cc", ["-std=c11", "-D_GNU_SOURCE", "-O2", "-o", out, from("fixtures/shop/server.c"), from("fixtures/shop/shop.c")]);
  return out;
}

/** Prints the time on every line. */
export async function ticker(folder) {
  const out = join(folder, "ticker");
  await run("cc", ["-std=c11", "-D_GNU_SOURCE", "-O2", "-o", out, from("load/ticker.c")]);
  return out;
}

/** Starts a service with nothing around it and answers when its health path does. */
export async function bareService(words, folder) {
  const port = await freePort();
  const began = now();
  const child = spawn(words[0], words.slice(1), { env: plain({ PORT: String(port) }), stdio: "ignore", cwd: folder });
  const ended = new Promise((resolve) => child.on("exit", resolve).on("error", resolve));
  while (!(await healthy(port))) if (child.exitCode !== null) throw new Error(`${words[0]} has ended`);
  return { port, took: now() - began, async stop() { child.kill("SIGTERM"); await ended; } };
}

/** Asks for /health once, over a connection of its own. */
function healthy(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"));
    socket.once("data", (piece) => { resolve(piece.toString().startsWith("HTTP/1.1 200")); socket.destroy(); });
    socket.on("error", () => setTimeout(() => resolve(false), 1));
    socket.on("end", () => resolve(false));
  });
}

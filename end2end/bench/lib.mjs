// What the measurements share: a server of its own for each, repositories, runs, numbers.

import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const binary = process.env.SEAMLESS_BIN ?? "target/release/seamless";

export const now = () => performance.timeOrigin + performance.now();

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** A server with a data folder of its own; the environment's settings for other servers do not reach it. */
export class Server {
  static async start() {
    const server = new Server();
    server.data = await mkdtemp(join(tmpdir(), "seamless-bench-"));
    await server.up();
    const { stdout } = await run(binary, ["token", "create", "--name", "bench"], { env: server.env });
    server.token = stdout.trim().split(/\s+/).at(-1);
    return server;
  }

  /** Starts the process; answers how many milliseconds passed until it was ready. */
  async up() {
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    const { PATH, HOME, SEAMLESS_SITE } = process.env;
    this.env = { PATH, HOME, SEAMLESS_SITE, SEAMLESS_DATA: this.data, SEAMLESS_LISTEN: `127.0.0.1:${port}` };
    const log = openSync(join(this.data, "bench-server.log"), "a");
    const began = now();
    this.child = spawn(binary, ["serve"], { env: this.env, stdio: ["ignore", log, log] });
    closeSync(log);
    this.ended = new Promise((resolve) => this.child.on("exit", resolve));
    for (;;) {
      if (this.child.exitCode !== null) throw new Error(`the server ended: ${await this.log()}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      if (answer?.ok) return now() - began;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  log = () => readFile(join(this.data, "bench-server.log"), "utf8");

  async down() {
    this.child.kill("SIGTERM");
    await this.ended;
  }

  /** Ends the server and everything that was deployed. */
  async remove() {
    for (const service of (await this.api("GET", "/services")).items ?? []) await this.api("DELETE", `/services/${service.id}`);
    await this.down();
    await rm(this.data, { recursive: true, force: true, maxRetries: 5 });
  }

  async api(method, path, body) {
    const headers = { authorization: `Bearer ${this.token}`, "content-type": "application/json" };
    const answer = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Follows a run's live stream: calls back for every event, and answers the run as it stood at the end. */
  async follow(id, onEvent = () => {}) {
    const headers = { authorization: `Bearer ${this.token}` };
    const answer = await fetch(`${this.url}/live/runs/${id}`, { headers });
    if (!answer.ok) throw new Error(`the live stream of ${id}: ${answer.status}`);
    let left = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      left += piece;
      for (let end = left.indexOf("\n\n"); end >= 0; end = left.indexOf("\n\n")) {
        const lines = left.slice(0, end).split("\n");
        left = left.slice(end + 2);
        const field = (name) => lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
        if (field("event")) onEvent(field("event"), field("data"));
      }
    }
    return this.api("GET", `/runs/${id}`);
  }

  /** A bare repository with one commit, a clone of it, and a service that is connected to it. */
  async service(name, settings) {
    const [bare, clone] = [join(this.data, `${name}.git`), join(this.data, `${name}.clone`)];
    await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
    await run("git", ["clone", "--quiet", bare, clone]);
    const git = (...words) => run("git", ["-C", clone, "-c", "user.name=bench", "-c", "user.email=bench@seamless.invalid", ...words]);
    await git("checkout", "--quiet", "-B", "main");
    await writeFile(join(clone, "README"), "Nothing to see here.\n");
    await git("add", "README");
    await git("commit", "--quiet", "-m", "Begin");
    await git("push", "--quiet", "origin", "main");
    const service = await this.api("POST", "/services", { name, repository: bare, branch: "main", ...settings });
    return { ...service, git };
  }
}

/** The demo's `shop`, compiled: a service that is up within milliseconds. */
export async function quickService(folder) {
  const source = new URL("../fixtures/shop/", import.meta.url).pathname;
  const out = join(folder, "quick-service");
  await run("cc", ["-std=c11", "-D_GNU_SOURCE", "-O2", "-o", out, join(source, "server.c"), join(source, "shop.c")]);
  return out;
}

export const at = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** Says a number beside its bar; answers whether it holds. */
export function bar(what, value, most, unit) {
  const holds = value <= most;
  console.log(`${holds ? "holds " : "BROKEN"}  ${what}: ${value.toFixed(unit === "cores" ? 2 : 1)} ${unit} (at most ${most})`);
  if (!holds) process.exitCode = 1;
  return holds;
}

export function check(what, holds) {
  console.log(`${holds ? "holds " : "BROKEN"}  ${what}`);
  if (!holds) process.exitCode = 1;
}

export const machine = () => `${cpus().length} cores`;

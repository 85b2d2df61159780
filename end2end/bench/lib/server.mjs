// A server of its own for a measurement: the real binary, a data folder that goes away, and what one does with it.
// Refuses to touch any other server: neither settings of the environment nor ports reach over.

import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { now, pause } from "./numbers.mjs";

export const run = promisify(execFile);
export const binary = resolve(process.env.SEAMLESS_BIN ?? "target/release/seamless");
const site = resolve(process.env.SEAMLESS_SITE ?? "target/site");
const LONGEST_START = 30_000;

export const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** The environment that a process of a measurement gets: nothing of who measures but the way to programs. */
export const plain = (more = {}) => ({ PATH: process.env.PATH, HOME: process.env.HOME, LANG: "C.UTF-8", ...more });

export class Server {
  /** Starts one; `also` are words after `serve`, `settings` more variables. A `copied` one runs from a file of its own, `binary`. */
  static async start(also = [], settings = {}, { copied = false } = {}) {
    const server = new Server();
    Object.assign(server, { also, settings, binary, data: await mkdtemp(join(tmpdir(), "seamless-bench-")) });
    try {
      if (copied) await copyFile(binary, (server.binary = join(server.data, "seamless")));
      await server.up();
      const { stdout } = await run(binary, ["token", "create", "--name", "bench"], { env: server.env });
      server.token = stdout.trim().split(/\s+/).at(-1);
      return server;
    } catch (error) {
      await server.remove().catch(() => {});
      throw error;
    }
  }

  /** Starts the process; answers how many milliseconds passed until it was ready. */
  async up() {
    // The same address every time: what was started before finds the server again.
    this.port ??= await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    this.env = plain({ SEAMLESS_SITE: site, SEAMLESS_DATA: this.data, SEAMLESS_LISTEN: `127.0.0.1:${this.port}`, ...this.settings });
    const log = openSync(join(this.data, "bench-server.log"), "a");
    const began = now();
    const child = spawn(this.binary, ["serve", ...this.also], { env: this.env, stdio: ["ignore", log, log] });
    closeSync(log);
    this.child = child;
    this.ended = new Promise((resolve) => child.on("exit", resolve).on("error", resolve));
    await untilOk(`${this.url}/readyz`, began + LONGEST_START, () => child.exitCode === null && child.pid !== undefined)
      .catch(async (error) => { throw new Error(`${error.message}\n${await this.log()}`); });
    return now() - began;
  }

  log = () => readFile(join(this.data, "bench-server.log"), "utf8");

  async down() {
    if (this.child?.exitCode === null) this.child.kill("SIGTERM");
    await this.ended;
  }

  /** Ends the server, everything that was deployed, and the data folder. */
  async remove() {
    if (this.token && this.child?.exitCode === null) {
      for (const run of await this.openRuns()) await this.api("POST", `/runs/${run.id}/cancel`).catch(() => {});
      const services = await this.api("GET", "/services?limit=200").catch(() => ({ items: [] }));
      for (const service of services.items) await this.api("DELETE", `/services/${service.id}`).catch((e) => console.error(`  ${e.message}`));
    }
    await this.down();
    // Whatever still names this very folder on its command line is ours, and is ended for good.
    for (const { pid } of await this.processes()) try { process.kill(pid, "SIGKILL"); } catch { /* gone by itself */ }
    await rm(this.data, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  /** Runs that are not at their end. */
  async openRuns() {
    const all = await Promise.all(["idle", "in_progress", "awaiting_approval"].map((s) => this.api("GET", `/runs?status=${s}&limit=200`).catch(() => ({ items: [] }))));
    return all.flatMap((page) => page.items);
  }

  /** Other processes that name this data folder on their command line: keepers, above all. */
  async processes() {
    const found = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number)) {
      if (pid === this.child?.pid || pid === process.pid) continue;
      const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
      if (words.some((word) => word === this.data || word.startsWith(`${this.data}/`))) found.push({ pid, words });
    }
    return found;
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

  /** Starts a run by hand and waits for its end. */
  async finish(service) {
    const { id } = await this.api("POST", `/services/${service.id}/runs`, { branch: "main" });
    return this.follow(id);
  }

  /** A bare repository with one commit, a clone of it, and a service that is connected to it. */
  async service(name, settings, files = {}) {
    const repository = await makeRepository(join(this.data, "repositories"), name, files);
    const service = await this.api("POST", "/services", { name, repository: repository.bare, branch: "main", ...settings });
    return { ...service, ...repository };
  }
}

/** Asks until the answer is 2xx. */
export async function untilOk(url, until, alive = () => true) {
  for (;;) {
    const answer = await fetch(url, { headers: { connection: "close" } }).catch(() => null);
    if (answer?.ok) return answer.arrayBuffer();
    if (!alive()) throw new Error(`${url}: its process has ended`);
    if (now() > until) throw new Error(`${url} does not answer`);
    await pause(2);
  }
}

/** A bare repository with one commit on `main`, and a clone of it. */
export async function makeRepository(folder, name, files = {}) {
  const [bare, clone] = [join(folder, `${name}.git`), join(folder, `${name}.clone`)];
  await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
  await run("git", ["clone", "--quiet", bare, clone]);
  await run("git", ["-C", clone, "config", "user.name", "bench"]);
  await run("git", ["-C", clone, "config", "user.email", "bench@seamless.invalid"]);
  const git = (...words) => run("git", ["-C", clone, ...words]);
  await git("checkout", "--quiet", "-B", "main");
  for (const [path, text] of Object.entries({ README: "Nothing to see here.\n", ...files })) await writeFile(join(clone, path), text);
  await git("add", "--all");
  await git("commit", "--quiet", "-m", "Begin");
  await git("push", "--quiet", "origin", "main");
  return { bare, clone, git };
}

// Many viewers of live logs, on the embedded database and on PostgreSQL with Redis: 100 of twenty runs that print 10,000 lines a second together, then 1,000 of one run. Each line carries the
// time at which it was printed. The viewers are one program that reads and parses every message and draws nothing; the reference reads
// the program's own pipe.

import { execFile } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { Server, plain } from "./lib/server.mjs";
import { now, pause, resident, used } from "./lib/numbers.mjs";
import { postgres } from "./lib/postgres.mjs";
import { ticker } from "./lib/programs.mjs";
import { redis } from "./lib/redis.mjs";
import { piped } from "./line.bench.mjs";

export const title = "a line printed to the same line at every viewer of its run";
const program = resolve(process.env.SEAMLESS_VIEWERS ?? join(dirname(process.env.SEAMLESS_BIN ?? "target/release/seamless"), "viewers"));

export async function measure(report) {
  await store(report, "SQLite", {}, {});
  const [database, hot] = [await postgres(), await redis()];
  try {
    await store(report, "PostgreSQL and Redis", { DATABASE_URL: database.url, REDIS_URL: hot.url }, { p50: 40, p95: 100, p99: 250 });
  } finally {
    await hot.stop();
    await database.stop();
  }
}

async function store(report, name, settings, bars) {
  const server = await Server.start([], { SEAMLESS_SLOTS: "20", ...settings });
  try {
    const ticks = await ticker(server.data);
    const many = await watched(server, `sleep 2; ${ticks} 5000 2000`, 20, 5);
    for (const share of ["p50", "p95", "p99"]) {
      const options = bars[share] ? { bar: { of: "max", most: bars[share] } } : {};
      report.row(`${name}: 100 viewers of 20 runs, 10,000 lines a second, ${share}`, "ms", many.seen[`${share}_us`] / 1000, options);
    }
    report.row(`${name}: lines missing, doubled or out of order`, "lines", many.wrong, { bar: { of: "max", most: 0 } });
    report.note(`${name}, 100 viewers: the server held ${many.memory.toFixed(0)} MB and used ${many.cores.toFixed(2)} cores; ${many.seen.timed} lines were seen, the latest after ${(many.seen.max_us / 1000).toFixed(0)} ms`);
    const one = await watched(server, `sleep 5; ${ticks} 2000 10000`, 1, 1000);
    report.row(`${name}: 1,000 viewers of one run, 100 lines a second, p95`, "ms", one.seen.p95_us / 1000);
    report.row(`${name}: lines missing, doubled or out of order`, "lines", one.wrong, { bar: { of: "max", most: 0 } });
    report.row(`${name}: the server's memory with 1,000 viewers`, "MB", one.memory, { bar: { of: "max", most: 300 } });
    report.row("100 lines a second read from the program's own pipe", "ms", await piped(ticks, 300), { reference: true });
  } finally {
    await server.remove();
  }
}

async function watched(server, prepare, runs, viewers) {
  const service = await server.service(`watched-${runs}`, { commands: { prepare }, staging: false });
  const started = await Promise.all(Array.from({ length: runs }, () => server.api("POST", `/services/${service.id}/runs`, { branch: "main" })));
  let memory = 0;
  const [cpu, began] = [used(server.child.pid), now()];
  const watch = setInterval(() => { memory = Math.max(memory, resident(server.child.pid).all); }, 100);
  const words = [server.url, server.token, String(viewers), ...started.map(({ id }) => id)];
  const { stdout } = await promisify(execFile)(program, words, { env: plain(), maxBuffer: 1 << 24 });
  clearInterval(watch);
  const cores = (used(server.child.pid) - cpu) / (now() - began);
  await pause(200);
  const seen = JSON.parse(stdout);
  const lines = await Promise.all(started.map(async ({ id }) => (await server.api("GET", `/runs/${id}`)).stages.reduce((sum, stage) => sum + stage.lines, 0)));
  const [least, most] = [Math.min(...lines), Math.max(...lines)];
  const lost = (seen.fewest < least ? least - seen.fewest : 0) + (seen.most > most ? seen.most - most : 0);
  return { seen, memory, cores, wrong: seen.wrong + lost };
}

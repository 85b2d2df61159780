// Lines through /runner/v1/log until they are durable: 20 runs at once, lines of 120 bytes as build tools print them. The load is a runner
// that does nothing but log, started by the server in the place of its own; it packs every batch live and shares the machine with the server.
// The reference is what a naive design does, into the same stores: one line, one call. What is durable is in the database, Redis or not.

import { copyFile, readFile, readdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Server } from "./lib/server.mjs";
import { postgres } from "./lib/postgres.mjs";
import { redis } from "./lib/redis.mjs";
import { now, pause, resident, used } from "./lib/numbers.mjs";

export const title = "lines of 120 bytes through /runner/v1/log to durable, 20 runs at once";
const runs = 20;
const load = resolve(process.env.SEAMLESS_LOAD ?? join(dirname(process.env.SEAMLESS_BIN ?? "target/release/seamless"), "load-runner"));
const forms = [
  { form: "packed", lines: 300_000, batch: 4000, what: "packed, 4,000 lines a call" },
  { form: "json", lines: 60_000, batch: 4000, what: "as JSON, 4,000 lines a call" },
  { form: "single", lines: 300, batch: 1, what: "one line, one call", reference: true },
];

export async function measure(report) {
  await store(report, "SQLite", {}, 300_000);
  const database = await postgres();
  try {
    const hot = await redis();
    try {
      await store(report, "PostgreSQL and Redis", { DATABASE_URL: database.url, REDIS_URL: hot.url }, 200_000);
      const keys = (await hot.said("KEYS", "seamless:log:*")).split("\n");
      const rows = await Promise.all(keys.map((key) => hot.said("ZCARD", key)));
      report.note(`Redis holds ${rows.reduce((sum, n) => sum + Number(n), 0)} rows of ${keys.length} logs`);
    } finally {
      await hot.stop();
    }
  } finally {
    await database.stop();
  }
}

async function store(report, name, settings, bar) {
  const server = await Server.start([], { SEAMLESS_SLOTS: String(runs), ...settings }, { copied: true });
  try {
    // The server starts runners by the path it was started from: from here on that is the load.
    const draft = join(server.data, "load-runner");
    await copyFile(load, draft);
    await rename(draft, server.binary);
    for (const { form, lines, batch, what, reference } of forms) {
      const found = await one(server, form, lines, batch);
      const options = form === "packed" ? { bar: { of: "median", least: bar } } : { reference };
      report.row(`${name}: ${what}`, "lines/s", found.rate, options);
      report.row(`${name}: ${what}: one call`, "ms", found.took, { reference });
      report.note(`${name}, ${form}: the server used ${found.cores.toFixed(2)} cores and held ${found.memory.toFixed(0)} MB; ${found.refused} calls were sent away`);
    }
  } finally {
    await server.remove();
  }
}

async function one(server, form, lines, batch) {
  const service = await server.service(`load-${form}`, { commands: { prepare: `${form} ${lines} ${batch}` }, staging: false });
  const started = await Promise.all(Array.from({ length: runs }, () => server.api("POST", `/services/${service.id}/runs`, { branch: "main" })));
  while ((await Promise.all(started.map(({ id }) => server.api("GET", `/runs/${id}`)))).some((run) => run.stages[0].status !== "in_progress")) await pause(50);
  await pause(500);
  const [cpu, began] = [used(server.child.pid), now()];
  let memory = 0;
  const watch = setInterval(() => { memory = Math.max(memory, resident(server.child.pid).all); }, 100);
  await writeFile(join(server.data, "go"), "");
  const done = await Promise.all(started.map(({ id }) => server.follow(id)));
  clearInterval(watch);
  const spent = (used(server.child.pid) - cpu) / (now() - began);
  await rename(join(server.data, "go"), join(server.data, "gone"));
  const stages = done.map((run) => run.stages[0]);
  const wrong = stages.filter((stage) => stage.status !== "success" || stage.lines !== lines);
  if (wrong.length > 0) throw new Error(`${wrong.length} of ${runs} logs are not whole: ${JSON.stringify(wrong[0])}`);
  const told = (await readdir(server.data)).filter((file) => stages.some((stage) => file === `load-${stage.id}.json`));
  const each = await Promise.all(told.map(async (file) => JSON.parse(await readFile(join(server.data, file), "utf8"))));
  const [first, last] = [Math.min(...each.map((one) => one.began)), Math.max(...each.map((one) => one.ended))];
  return {
    rate: (lines * runs * 1000) / (last - first), took: each.flatMap((one) => one.took_us.map((us) => us / 1000)), cores: spent, memory,
    refused: each.reduce((sum, one) => sum + one.refused, 0),
  };
}

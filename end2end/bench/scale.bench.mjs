// A long history: 290,000 runs, 2,030,000 stages. Pages and their REST twins, asked one after the other over one connection, on either
// database; beside each the same page of the same server on a database that holds a single run.
// The history is made of one real run, copied by SQL: what differs from a real one is that all of it is alike.
// Afterwards all of it is backed up, beside the database's own tool.
// Needs some 5 GB in the temporary folder and seven minutes; `make bench` alone leaves it out.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { Server, binary } from "./lib/server.mjs";
import { now, pause, used } from "./lib/numbers.mjs";
import { quickService } from "./lib/programs.mjs";
import { postgres, sqlite } from "./lib/rows.mjs";

export const title = "pages over 290,000 runs and 2,030,000 stages of 20 services";

const [SERVICES, RUNS] = [20, Number(process.env.SEAMLESS_BENCH_RUNS ?? 14_500)]; // of each service
const BAR = { of: "p95", most: 50 };
const TIMES = 40;

export async function measure(report) {
  const cluster = await postgres();
  try {
    for (const kind of ["SQLite", "PostgreSQL"]) {
      const base = kind === "PostgreSQL" ? await cluster.database() : null;
      const server = await Server.start([], base ? { DATABASE_URL: base.url } : {});
      try {
        await measureOn(report, server, base ?? sqlite(join(server.data, "seamless.db")));
      } finally {
        await server.remove();
      }
    }
  } finally {
    await cluster.stop();
  }
}

async function measureOn(report, server, rows) {
  const commands = Object.fromEntries(["prepare", "code_quality", "unit_test", "build"].map((name) => [name, "true"]));
  const start = `exec ${await quickService(server.data)}`;
  const service = await server.service("service-0", { commands: { ...commands, start }, auto_deploy: true, staging: true, health_path: "/health" });
  const run = await server.finish(service);
  if (run.status !== "success") throw new Error(`the run to copy ended as ${run.status}: ${run.reason}`);
  for (const page of pages(service.id, run)) {
    report.row(`${rows.name}: ${page.name}, a single run in the database`, "ms", await ask(server, page), { reference: true });
  }
  report.row(`${rows.name}: the server's work for itself, a single run`, "cores", await quiet(server), { reference: true });
  await server.down();
  const began = now();
  await fill(rows);
  report.row(`${rows.name}: made by SQL`, "s", (now() - began) / 1000);
  await server.up();
  const all = await server.api("GET", `/runs?limit=200`);
  const old = await server.api("GET", `/runs/${(await server.api("GET", `/services/${service.id}/runs?limit=200`)).items.at(-1).id}`);
  if (all.items.length !== 200 || old.stages.length !== 7) throw new Error("the history is not there");
  for (const page of pages(service.id, old)) report.row(`${rows.name}: ${page.name}`, "ms", await ask(server, page), { bar: BAR });
  report.row(`${rows.name}: the server's work for itself`, "cores", await quiet(server), { bar: { of: "max", most: 0.05 } });
  // The clean-up begins when a server starts; it has far more to remove than it can meanwhile.
  const [pipeline] = (await server.api("GET", "/pipelines")).items;
  await server.api("PATCH", `/pipelines/${pipeline.id}`, { retention: { ...pipeline.retention, log_days: 14 } });
  await server.down();
  await server.up();
  for (const page of pages(service.id, old).slice(0, 4)) report.row(`${rows.name}: ${page.name}, while old logs are removed`, "ms", await ask(server, page), { bar: BAR });
  const left = (await rows.sql("SELECT COUNT(*) FROM stage WHERE log_removed IS NOT NULL")).trim();
  report.note(`${rows.name}: ${Number(left).toLocaleString("en")} logs were removed meanwhile`);
  await server.down();
  const backed = await watched(["backup", join(server.data, "bench.backup")], server.env);
  report.row(`${rows.name}: seamless backup`, "s", backed.took / 1000);
  report.row(`${rows.name}: the memory it takes at most`, "MB", backed.peak, { bar: { of: "max", most: 100 } });
  const copied = now();
  await rows.copy(server.data);
  report.row(`${rows.name}: ${rows.own}`, "s", (now() - copied) / 1000, { reference: true });
  const [counted] = (await rows.sql("SELECT (SELECT COUNT(*) FROM run), (SELECT COUNT(*) FROM stage), (SELECT COUNT(*) FROM event), (SELECT COUNT(*) FROM log_chunk)")).trim().split("\n");
  report.note(`${rows.name}: runs, stages, events, rows of logs: ${counted.split("|").map((n) => Number(n).toLocaleString("en")).join(", ")}`);
}

const pages = (service, run) => [
  { name: "overview page", path: "/" },
  { name: "runs page", path: "/runs" },
  { name: "service page", path: `/services/${service}` },
  { name: "run page", path: `/runs/${run.id}` },
  { name: "deliveries page", path: "/deliveries" },
  { name: "REST services", path: "/api/v1/services" },
  { name: "REST runs of a service, further down", path: `/api/v1/services/${service}/runs?before=${run.id}` },
  { name: "REST runs in progress", path: "/api/v1/runs?status=in_progress" },
  { name: "REST run", path: `/api/v1/runs/${run.id}` },
  { name: "REST environments", path: "/api/v1/environments" },
  { name: "REST deployments of a service", path: `/api/v1/services/${service}/deployments?environment=production` },
  { name: "REST log", path: `/api/v1/stages/${run.stages[2].id}/log` },
  { name: "REST deliveries", path: "/api/v1/deliveries" },
];

/** How long each of many answers takes, after some to warm up. */
async function ask(server, { path }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const headers = path.startsWith("/api/") ? { authorization: `Bearer ${server.token}` } : { cookie: await logIn(server) };
  const once = () => new Promise((resolve, reject) => {
    const began = now();
    get(`${server.url}${path}`, { agent, headers }, (answer) => {
      answer.resume().on("end", () => (answer.statusCode === 200 ? resolve(now() - began) : reject(new Error(`${path}: ${answer.statusCode}`))));
    }).on("error", reject);
  });
  try {
    for (let n = 0; n < 5; n++) await once();
    const took = [];
    for (let n = 0; n < TIMES; n++) took.push(await once());
    return took;
  } finally {
    agent.destroy();
  }
}

/** Runs a command of the binary; how long it took, and the most memory it had. */
async function watched(words, env) {
  const began = now();
  const child = spawn(binary, words, { env, stdio: ["ignore", "ignore", "inherit"] });
  let peak = 0;
  const look = setInterval(() => {
    const status = readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    status.then((text) => { peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024); });
  }, 20);
  const code = await new Promise((resolve) => child.on("exit", resolve));
  clearInterval(look);
  if (code !== 0) throw new Error(`${words[0]} ended with ${code}`);
  return { took: now() - began, peak };
}

/** A session, by the link that the server printed at its newest start. */
async function logIn(server) {
  if (server.session?.of === server.child.pid) return server.session.cookie;
  const links = [...(await readFile(join(server.data, "bench-server.log"), "utf8")).matchAll(/(\/login\/\S+)/g)];
  const answer = await fetch(`${server.url}${links.at(-1)[1]}`, { redirect: "manual" });
  const cookie = answer.headers.getSetCookie()[0].split(";")[0];
  server.session = { of: server.child.pid, cookie };
  return cookie;
}

/** What workers use while nobody asks for anything. */
async function quiet(server) {
  await pause(3_000);
  const [cpu, began] = [used(server.child.pid), now()];
  await pause(15_000);
  return (used(server.child.pid) - cpu) / (now() - began);
}

/** Copies the one service and its one run. */
async function fill(rows) {
  const { sql, number } = rows;
  const n = (count) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
  // Ids that sort before every real one, in the order of their numbers.
  const id = (expression) => `'01A' || ${number(expression, 23)}`;
  const copy = async (table, count, changed, from, only = "") => {
    const names = await rows.columns(table);
    const chosen = names.map((name) => changed[name] ?? `t."${name}"`);
    const left = changed.omit ? names.map((name, at) => [name, chosen[at]]).filter(([name]) => name !== changed.omit) : names.map((name, at) => [name, chosen[at]]);
    await sql(`${n(count)} INSERT INTO ${table} (${left.map(([name]) => `"${name}"`).join(", ")}) SELECT ${left.map(([, value]) => value).join(", ")} FROM ${from} CROSS JOIN n ${only}`);
  };
  const ports = { production_port: "20000 + 2 * i", staging_port: "20001 + 2 * i" };
  await copy("service", SERVICES - 1, { id: id("i"), name: "'service-' || i", ...ports, last_run: `${RUNS}` }, "service t");
  // Runs are numbered over all services, so that neighbours in time are of different ones.
  const place = `(i * ${SERVICES} + v.place)`;
  const services = `(SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM service) v`;
  // Over twelve weeks, ending an hour ago: less than logs are kept.
  const shift = `(3600000 + (${RUNS} - i) * CAST(${Math.floor((84 * 86_400_000) / RUNS)} AS BIGINT))`;
  const at = (...names) => Object.fromEntries(names.map((name) => [name, `t.${name} - ${shift}`]));
  await sql(`UPDATE run SET number = 0;;UPDATE service SET last_run = ${RUNS}`);
  await copy("run", RUNS, { id: id(place), service_id: "v.id", number: "i", cause: "t.cause || i", ...at("created_at", "started_at", "ended_at") }, `run t CROSS JOIN ${services}`, "WHERE t.number = 0");
  await copy("stage", RUNS, { id: id(`${place} * 10 + t.ordinal`), run_id: id(place), service_id: "v.id", ...at("ready_at", "started_at", "ended_at") }, `stage t CROSS JOIN ${services}`, "WHERE t.id NOT LIKE '01A%'");
  await copy("log_chunk", RUNS, { stage_id: id(`${place} * 10 + s.ordinal`) }, `log_chunk t JOIN stage s ON s.id = t.stage_id CROSS JOIN ${services}`, "WHERE i % 5 = 0 AND s.id NOT LIKE '01A%'");
  const told = "t.kind IN ('run_created', 'run_changed', 'deployment_live')";
  await copy("event", RUNS, { omit: "seq", run_id: id(place), service_id: "v.id", ...at("at") }, `event t CROSS JOIN ${services}`, `WHERE ${told} AND t.run_id NOT LIKE '01A%'`);
  await copy("deployment", RUNS, { id: id(`${place} * 10 + CASE t.environment WHEN 'staging' THEN 1 ELSE 2 END`), run_id: id(place), run_number: "i", built_by: "i", service_id: "v.id", live: `i = ${RUNS} AND v.id LIKE '01A%'`, artifact: `'sha256:' || ${number("i", 64)}`, ...at("since") }, `deployment t CROSS JOIN ${services}`, "WHERE i % 5 = 0 AND t.id NOT LIKE '01A%'");
  await sql(`${n(300_000)} INSERT INTO delivery (id, guid, source, event, payload, verdict, reason, received_at, handled_at) SELECT ${id("i")}, 'bench-' || i, 'git', 'push', '{"ref":"refs/heads/x","after":"0000000000000000000000000000000000000000"}', 'ignored', 'ignored: branch filter', i, i FROM n`);
  // PostgreSQL does it by itself after a while; nobody does it for SQLite.
  if (rows.name === "PostgreSQL") await sql("ANALYZE");
}

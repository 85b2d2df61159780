// What a server holds in memory that has done something and then has nothing to do: the demo is connected, its first runs are over.
// What keeps the services' ports is a process for each environment of each service, and is told apart.

import { spawn } from "node:child_process";
import { Server, freePort, plain, untilOk } from "./lib/server.mjs";
import { now, pause, resident, used } from "./lib/numbers.mjs";

export const title = "resident memory after 30 s of quiet, the demo connected and deployed";
const QUIET = 30_000;

export async function measure(report) {
  const server = await Server.start(["--demo"]);
  const port = await freePort();
  const node = spawn(process.execPath, ["-e", `require("http").createServer((q, a) => a.end("ok")).listen(${port}, "127.0.0.1")`], { env: plain(), stdio: "ignore" });
  try {
    await untilOk(`http://127.0.0.1:${port}/`, now() + 30_000, () => node.exitCode === null);
    const runs = await demoRuns(server);
    for (const run of runs) report.note(`${run.service.name}: run ${run.number} is ${run.status}${run.reason ? ` (${run.reason})` : ""}`);
    const cpu = used(server.child.pid);
    await pause(QUIET);
    const spent = used(server.child.pid) - cpu;
    const keepers = (await server.processes()).filter(({ words }) => words.includes("keeper"));
    const ours = resident(server.child.pid);
    report.row("the server, after the demo's first runs", "MB", ours.all, { bar: { of: "max", most: 40 } });
    report.row("  of it: its own memory", "MB", ours.own);
    report.row("  of it: pages of files, above all the binary", "MB", ours.files);
    report.row("its share of the processor meanwhile", "cores", spent / QUIET);
    if (keepers.length > 0) report.row("keepers, each (not part of the bar)", "MB", keepers.map(({ pid }) => resident(pid).all));
    if (keepers.length > 0) report.row("keepers, each, without pages of files", "MB", keepers.map(({ pid }) => resident(pid).own));
    report.row("node's http server with nothing to do", "MB", resident(node.pid).all, { reference: true });
    await server.down();
    await server.up();
    await pause(5_000);
    report.row("the server, 5 s after a restart", "MB", resident(server.child.pid).all);
  } finally {
    node.kill("SIGKILL");
    await server.remove();
  }
}

/** Waits until the demo's first runs want nothing more: they have ended, or wait for a person. */
async function demoRuns(server) {
  for (const until = now() + 90_000; now() < until; await pause(250)) {
    const services = (await server.api("GET", "/services")).items;
    const runs = (await server.api("GET", "/runs")).items;
    const quiet = runs.every((run) => !["idle", "in_progress"].includes(run.status));
    if (services.length > 0 && runs.length >= services.length && runs.length >= 3 && quiet) return runs;
  }
  throw new Error(`the demo does not come to rest: ${await server.log()}`);
}

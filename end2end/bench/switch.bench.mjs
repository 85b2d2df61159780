// A service under load while new versions of it go live: no request may fail, whatever is being switched.
// The reference is the same load on the service's own port, with nothing in between and nothing being deployed.

import { Server, run } from "./lib/server.mjs";
import { at, pause } from "./lib/numbers.mjs";
import { serviceFile } from "./lib/programs.mjs";
import { load } from "../load/load.mjs";

export const title = "requests over 16 keep-alive connections while new versions go live";
const [connections, deploys, steady] = [16, 8, 3_000];

export async function measure(report) {
  const server = await Server.start();
  try {
    const service = await server.service("switched", { commands: { start: `exec '${process.execPath}' ${serviceFile}` }, auto_deploy: true, staging: false, health_path: "/" });
    await deployed(server, service, "Begin");
    const port = service.port ?? (await server.api("GET", `/services/${service.id}`)).port;
    const stable = `http://127.0.0.1:${port}/`;
    const [, own] = (await (await fetch(stable)).text()).split(" ");
    await loaded(stable, () => pause(1_000)); // whoever loads and who answers have warmed up before anything counts
    const direct = await loaded(`http://127.0.0.1:${own}/`, () => pause(steady));
    const quiet = await loaded(stable, () => pause(steady));
    const versions = [];
    let slow = [];
    const busy = await loaded(stable, async () => {
      const waiting = load(`${stable}wait/300`, 4);
      try {
        for (let n = 0; n < deploys; n++) versions.push(await deployed(server, service, `Version ${n}`));
      } finally {
        slow = await waiting.stop();
      }
    });
    const answered = busy.requests.filter((request) => request.by);
    const moments = answered.filter(({ at: began }) => versions.some(({ from, to }) => began >= from - 250 && began <= to + 250));
    const seen = new Set(answered.map(({ by }) => by.split(" ")[0]));
    const failed = [direct.requests, quiet.requests, busy.requests, slow].map((requests) => requests.filter((request) => request.failed));
    report.row("requests that failed while deploying", "requests", failed[2].length, { bar: { of: "max", most: 0 } });
    report.row("  and of requests that take 300 ms each, over 4 more connections", "requests", failed[3].length, { bar: { of: "max", most: 0 } });
    report.row("requests answered while deploying, each", "ms", answered.map(({ took }) => took));
    report.row("  of them: during the stage Deploy to Production", "ms", moments.map(({ took }) => took));
    report.row("through the stable port, nothing being deployed", "ms", quiet.requests.map(({ took }) => took));
    report.row("straight to the service's own port", "ms", direct.requests.map(({ took }) => took), { reference: true });
    const rate = ({ requests, took }) => (requests.length * 1000) / took;
    report.row("requests a second while deploying", "1/s", rate(busy));
    report.row("requests a second, nothing being deployed", "1/s", rate(quiet));
    report.row("requests a second, straight to the service", "1/s", rate(direct), { reference: true });
    report.note(`${deploys} versions went live, ${seen.size} versions answered, ${slow.length} slow requests; p99 ${at(moments.map((m) => m.took), 0.99).toFixed(1)} ms during the deploys, ${at(quiet.requests.map((m) => m.took), 0.99).toFixed(1)} ms in quiet, ${at(direct.requests.map((m) => m.took), 0.99).toFixed(1)} ms straight`);
    report.note("load, service and server share the machine: times under full load say how they compare, not how long a visitor waits");
    const reasons = new Map();
    for (const { failed: why } of failed.flat()) reasons.set(why, (reasons.get(why) ?? 0) + 1);
    for (const [why, count] of reasons) report.note(`failed ${count} times: ${why}`);
    if (failed[0].length + failed[1].length > 0) report.note(`${failed[0].length} failed straight to the service, ${failed[1].length} with nothing being deployed`);
  } finally {
    await server.remove();
  }
}

async function loaded(url, during) {
  const began = performance.now();
  const going = load(url, connections);
  try {
    await during();
  } finally {
    await going.stop();
  }
  return { requests: going.requests, took: performance.now() - began };
}

/** Pushes a commit and waits until its run is over. */
async function deployed(server, service, message) {
  await service.git("commit", "--quiet", "--allow-empty", "-m", message);
  await service.git("push", "--quiet", "origin", "main");
  const { stdout } = await run("git", ["-C", service.clone, "rev-parse", "HEAD"]);
  const [newest] = (await server.api("GET", `/services/${service.id}/runs?limit=1`)).items;
  const done = await server.follow(newest.id);
  if (done.commit.sha !== stdout.trim()) throw new Error(`the newest run is of ${done.commit.sha}`);
  if (done.status !== "success") throw new Error(`run ${done.number} ended as ${done.status}: ${done.reason}`);
  const stage = done.stages.find(({ kind }) => kind === "deploy_production");
  return { from: Date.parse(stage.started_at), to: Date.parse(stage.ended_at) };
}

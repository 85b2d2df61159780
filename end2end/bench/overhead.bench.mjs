// What the pipeline itself costs: stages whose commands do nothing, from the run's creation to its success.
// The same work without a pipeline: one `sh` clones, runs the same commands one after the other, and the service is started to
// health and stopped as often as the pipeline does. Overhead is the first minus the second.

import { join } from "node:path";
import { Server, run } from "./lib/server.mjs";
import { median, now } from "./lib/numbers.mjs";
import { bareService, quickService } from "./lib/programs.mjs";

export const title = "runs of stages that do nothing (`true`, and a start command that is up within milliseconds), created to success";
const runs = 10;
const commands = ["prepare", "code_quality", "unit_test", "build", "integration_test"];

export async function measure(report) {
  const server = await Server.start();
  try {
    const quick = await quickService(server.data);
    const nothing = { ...Object.fromEntries(commands.map((name) => [name, "true"])), start: `exec ${quick}` };
    const common = { commands: nothing, auto_deploy: true, health_path: "/health" };
    const seven = await server.service("seven", { ...common, staging: true });
    const six = await server.service("six", { ...common, staging: false });
    const all = await measured(server, seven, 7);
    const direct = await measured(server, six, 6);
    // Three starts: for the integration test, for staging, for production.
    const theirs = [];
    for (let n = 0; n < runs; n++) theirs.push(await bySh(seven.bare, join(server.data, `by-sh-${n}`), [quick], 3));
    report.row("seven stages, staging and production deployed", "ms", all.map((r) => r.took), { bar: { of: "median", most: 1000 } });
    report.row("six stages, straight to production", "ms", direct.map((r) => r.took), { bar: { of: "median", most: 1000 } });
    report.row("one sh: clone, five commands; the service started to health and stopped, three times", "ms", theirs, { reference: true });
    report.row("overhead: seven stages minus the reference's median", "ms", all.map((r) => r.took - median(theirs)));
    for (const { kind } of all[0].stages) report.row(`  of it: ${kind}`, "ms", all.map((r) => r.stages.find((s) => s.kind === kind).duration_ms));
    report.row("  of it: waiting between stages", "ms", all.map(between));
  } finally {
    await server.remove();
  }
}

async function measured(server, service, stages) {
  await server.finish(service); // the first deploy starts what keeps the ports, which stays
  const found = [];
  for (let n = 0; n < runs; n++) {
    await service.git("commit", "--quiet", "--allow-empty", "-m", `Run ${n}`);
    await service.git("push", "--quiet", "origin", "main:refs/heads/other"); // a branch that starts nothing by itself
    const { stdout } = await service.git("rev-parse", "HEAD");
    const { id } = await server.api("POST", `/services/${service.id}/runs`, { commit: stdout.trim() });
    const done = await server.follow(id);
    const passed = done.stages.filter((stage) => stage.status === "success").length;
    if (done.status !== "success" || passed !== stages) throw new Error(`run ${done.number} ended as ${done.status} with ${passed} stages: ${done.reason}`);
    found.push({ took: Date.parse(done.ended_at) - Date.parse(done.created_at), stages: done.stages, run: done });
  }
  return found;
}

/** Time in which no stage was in progress. */
function between({ run, stages }) {
  let [idle, last] = [0, Date.parse(run.created_at)];
  for (const stage of [...stages].sort((a, b) => Date.parse(a.started_at) - Date.parse(b.started_at))) {
    idle += Math.max(0, Date.parse(stage.started_at) - last);
    last = Math.max(last, Date.parse(stage.ended_at));
  }
  return idle;
}

async function bySh(bare, folder, start, starts) {
  const began = now();
  await run("sh", ["-c", `git clone --quiet --shared '${bare}' '${folder}' && cd '${folder}' && ${commands.map(() => "sh -c true").join(" && ")}`]);
  for (let n = 0; n < starts; n++) await (await bareService(start, folder)).stop();
  return now() - began;
}

// Fifty runs at once of twenty services, with commands that do nothing. Every run checks out, passes its checks, makes an artifact and
// deploys it; the services' pipelines are their own, so that no run starts the nineteen others as neighbours.
// The reference does the commands' part of the same work: `make -j2` over fifty clones and two hundred processes.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, plain } from "./lib/server.mjs";
import { now, used } from "./lib/numbers.mjs";
import { quickService } from "./lib/programs.mjs";

export const title = "50 runs at once of 20 services, commands that do nothing, production deployed";
const [services, runs] = [20, 50];
const commands = ["prepare", "code_quality", "unit_test", "build"];

export async function measure(report) {
  const server = await Server.start();
  try {
    const start = `exec ${await quickService(server.data)}`;
    const nothing = { ...Object.fromEntries(commands.map((name) => [name, "true"])), start };
    const all = [];
    for (let n = 0; n < services; n++) {
      all.push(await server.service(`service-${n}`, { commands: nothing, auto_deploy: true, staging: false, health_path: "/health" }));
    }
    const [cpu, began] = [used(server.child.pid), now()];
    const asked = Array.from({ length: runs }, (_, n) => server.api("POST", `/services/${all[n % services].id}/runs`, { branch: "main" }));
    const accepted = await Promise.all(asked);
    const answered = now() - began;
    const done = await Promise.all(accepted.map(({ id }) => server.follow(id)));
    const [took, spent] = [now() - began, used(server.child.pid) - cpu];
    const bad = done.filter((run) => run.status !== "success");
    for (const run of bad) report.note(`run ${run.number} of ${run.service.name} ended as ${run.status}: ${run.reason}`);
    const stages = done.flatMap((run) => run.stages).filter((stage) => stage.status === "success");
    const locked = (await server.log()).split("\n").filter((line) => /database is locked/i.test(line)).length;
    const makes = await byMake(join(server.data, "by-make"), all.map((service) => service.bare));
    report.row("all runs, from the first request to the last end", "s", took / 1000);
    report.row("runs that did not succeed", "runs", bad.length, { bar: { of: "max", most: 0 } });
    report.row("the server's own share of the processor", "cores", spent / took, { bar: { of: "max", most: 1 } });
    report.row("lines `database is locked` in its log", "lines", locked, { bar: { of: "max", most: 0 } });
    report.row("fifty runs accepted", "ms", answered);
    report.row("one stage, started to ended", "ms", stages.map((stage) => stage.duration_ms));
    report.row("make -j2: fifty clones, the same commands, no pipeline and no deploy", "s", makes / 1000, { reference: true });
    report.note(`${stages.length} stages: ${(took / stages.length).toFixed(1)} ms each on ${report.machine.cores} cores, one after the other`);
  } finally {
    await server.remove();
  }
}

async function byMake(folder, repositories) {
  const targets = Array.from({ length: runs }, (_, n) => `run-${n}`);
  const rule = (target, n) => `${target}:\n\t@git clone --quiet --shared ${repositories[n % services]} ${folder}/${target}\n${commands.map(() => `\t@cd ${folder}/${target} && sh -c true\n`).join("")}`;
  const file = `${folder}.mk`;
  await writeFile(file, `all: ${targets.join(" ")}\n${targets.map(rule).join("")}`);
  const began = now();
  const child = spawn("make", ["--silent", "-j2", "-f", file, "all"], { env: plain(), stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  if (code !== 0) throw new Error(`make ended with ${code}`);
  return now() - began;
}

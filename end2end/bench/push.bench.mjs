// From the start of `git push` to the first stage's command running. Both ends are told by `date`: just before the shell becomes
// `git push`, and as the whole command of Prepare.

import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, makeRepository, run } from "./lib/server.mjs";
import { fromNanos, now, pause } from "./lib/numbers.mjs";

export const title = "git push to the first stage's process running, one service, one push at a time";
const pushes = 30;

export async function measure(report) {
  const server = await Server.start();
  try {
    const mark = join(server.data, "mark");
    const service = await server.service("pushed", { commands: { prepare: `date +%s%N >${mark}` }, staging: false });
    const ours = [];
    const steps = { "push to delivery stored": [], "delivery stored to stage started": [], "stage started to its command": [] };
    let before = null;
    // The first push makes the mirror, which is there from then on: it is told apart.
    for (let n = 0; n <= pushes; n++) {
      const { began, marked } = await push(service, mark, `Push ${n}`);
      const [newest] = (await server.api("GET", `/services/${service.id}/runs?limit=1`)).items;
      if (newest.id === before) throw new Error("two pushes, one run");
      before = newest.id;
      const done = await server.follow(newest.id);
      if (done.status !== "success") throw new Error(`run ${done.number} ended as ${done.status}: ${done.reason}`);
      if (n === 0) {
        report.note(`the very first push, which makes the mirror, took ${(marked - began).toFixed(1)} ms`);
        continue;
      }
      ours.push(marked - began);
      const [created, started] = [Date.parse(done.created_at), Date.parse(done.stages[0].started_at)];
      steps["push to delivery stored"].push(created - began);
      steps["delivery stored to stage started"].push(started - created);
      steps["stage started to its command"].push(marked - started);
    }
    const theirs = await direct(join(server.data, "direct"));
    report.row("push to the command of Prepare", "ms", ours, { bar: { of: "median", most: 100 } });
    for (const [step, times] of Object.entries(steps)) report.row(`  of it: ${step}`, "ms", times);
    report.row("the same push, its post-receive runs the command itself", "ms", theirs, { reference: true });
  } finally {
    await server.remove();
  }
}

async function push(repository, mark, message) {
  await repository.git("commit", "--quiet", "--allow-empty", "-m", message);
  await rm(mark, { force: true });
  const { stdout } = await run("sh", ["-c", `date +%s%N; exec git -C '${repository.clone}' push --quiet origin main`]);
  const began = fromNanos(stdout);
  for (;;) {
    const text = await readFile(mark, "utf8").catch(() => "");
    if (/^\d+\n$/.test(text)) return { began, marked: fromNanos(text) };
    if (now() - began > 30_000) throw new Error("a push started nothing within 30 s");
    await pause(10);
  }
}

/** The least that a push can cost: the hook is the command. */
async function direct(folder) {
  const mark = join(folder, "mark");
  const repository = await makeRepository(folder, "direct");
  const hook = join(repository.bare, "hooks", "post-receive");
  await writeFile(hook, `#!/bin/sh\ndate +%s%N >${mark}\n`);
  await chmod(hook, 0o755);
  const times = [];
  for (let n = 0; n < pushes; n++) {
    const { began, marked } = await push(repository, mark, `Push ${n}`);
    times.push(marked - began);
  }
  return times;
}

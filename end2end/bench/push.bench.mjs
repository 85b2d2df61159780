// From the start of `git push` to the first stage's command running.

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Server, at, bar, machine, now } from "./lib.mjs";

const pushes = 30;
const server = await Server.start();
try {
  const mark = join(server.data, "mark");
  const service = await server.service("pushed", { commands: { prepare: `date +%s%N > ${mark}.new && mv ${mark}.new ${mark}` }, staging: false });
  const times = [];
  let before = null;
  for (let n = 0; n < pushes; n++) {
    await service.git("commit", "--quiet", "--allow-empty", "-m", `Push ${n}`);
    await rm(mark, { force: true });
    const began = now();
    await service.git("push", "--quiet", "origin", "main");
    let text = "";
    while (!text) {
      text = await readFile(mark, "utf8").catch(() => "");
      if (now() - began > 30_000) throw new Error(`push ${n} started nothing within 30 s: ${await server.log()}`);
      if (!text) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    times.push(Number(BigInt(text.trim()) / 1000n) / 1000 - began);
    const [newest] = (await server.api("GET", `/services/${service.id}/runs?limit=1`)).items;
    if (newest.id === before) throw new Error("two pushes, one run");
    before = newest.id;
    await server.follow(newest.id);
  }
  console.log(`${pushes} pushes on ${machine()}: ${at(times, 0).toFixed(1)} to ${at(times, 1).toFixed(1)} ms, 95% within ${at(times, 0.95).toFixed(1)} ms`);
  bar("git push to the first stage's process, median", at(times, 0.5), 100, "ms");
} finally {
  await server.remove();
}

// What the pipeline itself costs: seven stages whose commands do nothing, both deploys included.

import { Server, at, bar, machine, quickService } from "./lib.mjs";

const runs = 10;
const server = await Server.start();
try {
  const start = `exec ${await quickService(server.data)}`;
  const nothing = { prepare: "true", code_quality: "true", unit_test: "true", build: "true", integration_test: "true", start };
  const service = await server.service("idle", { commands: nothing, auto_deploy: true, health_path: "/health" });
  const times = [];
  for (let n = 0; n < runs; n++) {
    await service.git("commit", "--quiet", "--allow-empty", "-m", `Run ${n}`);
    const { stdout } = await service.git("rev-parse", "HEAD");
    await service.git("push", "--quiet", "origin", "main:refs/heads/other"); // a branch that starts nothing by itself
    const { id } = await server.api("POST", `/services/${service.id}/runs`, { commit: stdout.trim() });
    const done = await server.follow(id);
    if (done.status !== "success") throw new Error(`run ${n} ended as ${done.status}: ${done.reason}`);
    if (done.stages.some((stage) => stage.status !== "success")) throw new Error("a stage was skipped");
    times.push(Date.parse(done.ended_at) - Date.parse(done.created_at));
  }
  console.log(`${runs} runs on ${machine()}: ${at(times, 0)} to ${at(times, 1)} ms`);
  bar("seven stages that do nothing, median", at(times, 0.5), 1000, "ms");
} finally {
  await server.remove();
}

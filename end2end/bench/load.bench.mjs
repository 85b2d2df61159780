// Fifty runs at once of twenty services, with commands that do nothing.

import { readFile } from "node:fs/promises";
import { Server, bar, check, machine, now, quickService } from "./lib.mjs";

const [services, runs] = [20, 50];
const server = await Server.start();
const used = async () => {
  const stat = (await readFile(`/proc/${server.child.pid}/stat`, "utf8")).split(") ")[1].split(" ");
  return (Number(stat[11]) + Number(stat[12])) * 10; // clock ticks of 10 ms
};
try {
  const start = `exec ${await quickService(server.data)}`;
  const nothing = { prepare: "true", code_quality: "true", unit_test: "true", build: "true", integration_test: "true", start };
  const all = [];
  for (let n = 0; n < services; n++) {
    all.push(await server.service(`service-${n}`, { commands: nothing, auto_deploy: true, staging: false, health_path: "/health" }));
  }
  const [cpu, began] = [await used(), now()];
  const asked = Array.from({ length: runs }, (_, n) => server.api("POST", `/services/${all[n % services].id}/runs`, { branch: "main" }));
  const done = await Promise.all((await Promise.all(asked)).map(({ id }) => server.follow(id)));
  const [took, spent] = [now() - began, (await used()) - cpu];
  const ended = (status) => done.filter((run) => run.status === status).length;
  const count = ["success", "failure", "cancelled", "skipped"].map((status) => `${ended(status)} ${status}`);
  console.log(`${runs} runs of ${services} services on ${machine()}: ${(took / 1000).toFixed(1)} s; ${count.join(", ")}`);
  const reasons = new Set(done.filter((run) => run.status !== "success").map((run) => run.reason));
  for (const reason of reasons) console.log(`  ${reason}`);
  check("every run ends as a success", done.every((run) => run.status === "success"));
  check("the database was never locked", !/database is locked/i.test(await server.log()));
  bar("the server's own share of the processor", spent / took, 1, "cores");
} finally {
  await server.remove();
}

// GitHub's deliveries at 500 in a second for a minute, with runs going on: how long each waits for its 202, and whether each is stored.
// The reference is a server that answers 202 and does nothing else, asked by the same sender at the same pace.

import { createHmac } from "node:crypto";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { spawn } from "node:child_process";
import { serveRepository } from "../support/dumb.mjs";
import { now, pause } from "./lib/numbers.mjs";
import { Server, freePort, makeRepository, untilOk } from "./lib/server.mjs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const title = "500 signed deliveries in a second for a minute, with runs going on";
const [rate, seconds, secret, name] = [500, 60, "a secret of the whole app", "acme/flood"];

export async function measure(report) {
  const folder = await mkdtemp(join(tmpdir(), "seamless-bench-hub-"));
  const repository = await makeRepository(folder, "flood");
  const site = await serveRepository(repository.bare, name);
  const server = await Server.start([], { GITHUB_URL: site.url, GITHUB_WEBHOOK_SECRET: secret });
  try {
    const commands = { unit_test: "for i in $(seq 200); do echo line $i; sleep 0.05; done" };
    const service = await server.api("POST", "/services", { name: "flood", repository: name, branch: "main", commands });
    const busy = keepRunning(server, service);
    const ours = await flood(server.url, (n) => `flood-${n}`);
    busy.stop = true;
    report.row("delivery to its 202", "ms", ours.times, { bar: { of: "p99", most: 50 } });
    report.row("answers other than 202", "", ours.wrong, { bar: { of: "max", most: 0 } });
    let before = "";
    let stored = 0;
    for (;;) {
      const page = await server.api("GET", `/deliveries?limit=200${before}`);
      stored += page.items.filter((d) => d.guid.startsWith("flood-")).length;
      if (!page.next) break;
      before = `&before=${page.next}`;
    }
    report.row("deliveries that were answered and are not there", "", rate * seconds - ours.wrong - stored, { bar: { of: "max", most: 0 } });
    report.note(`${busy.count} runs went on meanwhile`);
    const port = await freePort();
    const code = `require("node:http").createServer((q, a) => { q.resume(); q.on("end", () => a.writeHead(202).end("{}")); }).listen(${port}, "127.0.0.1")`;
    const idle = spawn(process.execPath, ["-e", code], { stdio: "ignore" });
    await untilOk(`http://127.0.0.1:${port}/`, now() + 10_000);
    const theirs = await flood(`http://127.0.0.1:${port}`, (n) => `idle-${n}`, 10);
    idle.kill();
    report.row("the same to a server that only answers, for ten seconds", "ms", theirs.times, { reference: true });
  } finally {
    await server.remove();
    site.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** One run after the other, two at a time. */
function keepRunning(server, service) {
  const busy = { stop: false, count: 0 };
  const one = async () => {
    while (!busy.stop) {
      const { id } = await server.api("POST", `/services/${service.id}/runs`, { branch: "main" });
      busy.count++;
      await server.follow(id);
    }
  };
  for (const _ of [1, 2]) one().catch((error) => console.error(`  ${error.message}`));
  return busy;
}

/** What GitHub sends for a push to a branch that is not the service's, in about GitHub's length. */
function payload(n) {
  const sha = n.toString(16).padStart(40, "a");
  const commit = { id: sha, message: `Change ${n}`, added: [], removed: [], modified: ["README"], url: `https://example.org/${sha}` };
  const filling = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`field_${i}_url`, `https://api.example.org/repos/${name}/field/${i}{/sha}`]));
  return JSON.stringify({
    ref: `refs/heads/topic-${n % 7}`, before: "b".repeat(40), after: sha, pusher: { name: "ada" }, sender: { login: "ada" },
    repository: { full_name: name, ...filling }, head_commit: commit, commits: [commit],
  });
}

/** Sends at a steady pace, whatever the answers do; how long each took, and how many were wrong. */
async function flood(url, guid, lasting = seconds) {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 });
  const total = rate * lasting;
  const bodies = Array.from({ length: 200 }, (_, n) => payload(n));
  const signed = bodies.map((body) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
  const times = [];
  let [wrong, open] = [0, 0];
  const send = async (n) => {
    open++;
    const began = now();
    const which = n % bodies.length;
    const headers = {
      "content-type": "application/json", "content-length": Buffer.byteLength(bodies[which]), "x-github-event": "push",
      "x-github-delivery": guid(n), "x-hub-signature-256": signed[which],
    };
    try {
      const asked = request(`${url}/hooks/github`, { method: "POST", agent, headers }).end(bodies[which]);
      const [answer] = await once(asked, "response");
      answer.resume();
      await once(answer, "end");
      if (answer.statusCode !== 202) wrong++;
    } catch {
      wrong++;
    }
    times.push(now() - began);
    open--;
  };
  const began = now();
  for (let n = 0; n < total; ) {
    const due = Math.min(total, Math.floor(((now() - began) * rate) / 1000) + 1);
    while (n < due) send(n++);
    await pause(1);
  }
  while (open > 0) await pause(5);
  agent.destroy();
  return { times, wrong };
}

// Fifty runs at once with Step Functions as the engine: how soon all their executions are started, and how often AWS is asked. AWS is a stand-in on this
// machine (LocalStack, whose tasks are processes), so what it takes for the rest of a run says nothing about AWS. The reference starts fifty
// executions of the same machine that have nothing to do, one after the other, with nothing between.
// Refuses to measure without the stand-in, which `make setup` installs.

import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { now, pause } from "./lib/numbers.mjs";
import { Server, binary, plain } from "./lib/server.mjs";

export const title = "50 runs at once, driven by Step Functions (a stand-in)";
const runs = 50;
const program = resolve(process.env.SEAMLESS_AWS_STAND_IN ?? join(dirname(binary), "aws-stand-in"));

export async function measure(report) {
  const python = process.env.SEAMLESS_TEST_AWS;
  if (!python) throw new Error("this measurement needs the stand-in for AWS: run `make setup`, then `. target/setup/env`");
  // Its calls are answered while its executions compute, as AWS's are.
  const environment = { SEAMLESS_TEST_AWS: python, SEAMLESS_STAND_IN_TURN_S: "0.0002" };
  const child = spawn(program, [binary], { env: plain(environment), stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  let server;
  try {
    const place = JSON.parse(await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", resolve);
      child.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)));
    }));
    const asked = async (operation) => (await readFile(place.requests, "utf8")).split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter((request) => request.operation === operation);
    const reference = await byHand(place.environment);
    const before = (await asked("StartExecution")).length;

    server = await Server.start([], place.environment);
    await writeFile(place.told, server.data);
    const service = await server.service("orders", { commands: { prepare: "true" } });
    const [began, date] = [now(), Date.now()];
    const accepted = await Promise.all(Array.from({ length: runs }, () => server.api("POST", `/services/${service.id}/runs`, { branch: "main" })));
    const answered = now() - began;
    let starts;
    while ((starts = (await asked("StartExecution")).slice(before)).length < runs) {
      if (now() - began > 120_000) throw new Error(`only ${starts.length} of ${runs} executions were started`);
      await pause(250); // seldom, since looking takes from the same two cores
    }
    const started = Math.max(...starts.map(({ at }) => at * 1000)) - date; // by the stand-in's record
    const done = await Promise.all(accepted.map(({ id }) => server.follow(id)));
    const took = now() - began;
    const bad = done.filter((run) => run.status !== "success");
    for (const run of bad) report.note(`run ${run.number} ended as ${run.status}: ${run.reason}`);
    report.row("all executions started, from the first request on", "s", started / 1000, { bar: { of: "max", most: 10 } });
    report.row("calls of StartExecution for them", "calls", (await asked("StartExecution")).length - before, { bar: { of: "max", most: runs + 1 } });
    report.row("calls of DescribeExecution a second, until all were over", "1/s", (await asked("DescribeExecution")).length / (took / 1000), { bar: { of: "max", most: 1 } });
    report.row("runs that did not succeed", "runs", bad.length, { bar: { of: "max", most: 0 } });
    report.row("fifty runs accepted", "ms", answered);
    report.row("fifty calls of StartExecution one after the other, nothing else", "s", reference / 1000, { reference: true });
    report.note(`all runs were over after ${(took / 1000).toFixed(0)} s, which is the stand-in's time`);
  } finally {
    await server?.remove();
    child.stdin.end();
    await ended;
  }
}

/** Starts executions that have nothing to do; answers the milliseconds. */
async function byHand(environment) {
  const kinds = ["prepare", "code_quality", "unit_test", "build", "integration_test", "deploy_staging", "deploy_production"];
  const nothing = { run: false, ticket: "", timeout: 60, cpu: "256", memory: "512" };
  const input = { run: "none", server: "http://127.0.0.1:1", stages: Object.fromEntries(kinds.map((kind) => [kind, nothing])), gate: { ask: false, timeout: 60 } };
  const headers = {
    "x-amz-target": "AWSStepFunctions.StartExecution",
    "content-type": "application/x-amz-json-1.0",
    authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${environment.AWS_REGION}/states/aws4_request, SignedHeaders=host, Signature=0`,
  };
  const began = now();
  for (let n = 0; n < runs; n++) {
    const body = JSON.stringify({ stateMachineArn: environment.SEAMLESS_STATE_MACHINE, name: `by-hand-${n}`, input: JSON.stringify(input) });
    const answer = await fetch(environment.AWS_ENDPOINT_URL, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(`StartExecution: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
  return now() - began;
}

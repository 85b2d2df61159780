// From a line printed by a command to the same line on the live stream that browsers read. The stream's reader here stands in for
// the browser's EventSource; the browser tests see the rest of the way. Each line carries the time at which it was printed.

import { spawn } from "node:child_process";
import { Server, plain } from "./lib/server.mjs";
import { fromNanos, now, pause } from "./lib/numbers.mjs";
import { ticker } from "./lib/programs.mjs";

export const title = "a line printed to the same line on /live/runs/{id} (stands in for the browser's EventSource)";

export async function measure(report) {
  const server = await Server.start();
  try {
    const program = await ticker(server.data);
    const steady = await server.service("steady", { commands: { prepare: `${program} 1000 10000` }, staging: false });
    const sparse = await server.service("sparse", { commands: { prepare: `${program} 20 250000` }, staging: false });
    report.row("100 lines a second for 10 s", "ms", await streamed(server, steady, 1000), { bar: { of: "p95", most: 150 } });
    report.row("4 lines a second for 5 s", "ms", await streamed(server, sparse, 20), { bar: { of: "p95", most: 150 } });
    report.row("100 lines a second read from the program's own pipe", "ms", await piped(program, 300), { reference: true });
  } finally {
    await server.remove();
  }
}

const printed = (text) => /^\d{19}(?= line \d+$)/.exec(text)?.[0];

async function streamed(server, service, lines) {
  const { id } = await server.api("POST", `/services/${service.id}/runs`, { branch: "main" });
  const [late, seen] = [[], new Set()];
  const done = await server.follow(id, (event, data) => {
    if (event !== "log") return;
    const arrived = now();
    for (const { text } of JSON.parse(data).lines) {
      const at = printed(text);
      if (!at) continue;
      if (seen.has(text)) throw new Error(`twice: ${text}`);
      seen.add(text);
      late.push(arrived - fromNanos(at));
    }
  });
  if (late.length !== lines) throw new Error(`${late.length} of ${lines} lines arrived; the run ended as ${done.status}`);
  await pause(200);
  return late;
}

export async function piped(program, lines) {
  const child = spawn(program, [String(lines), "10000"], { env: plain(), stdio: ["ignore", "pipe", "inherit"] });
  const late = [];
  let left = "";
  for await (const piece of child.stdout.setEncoding("utf8")) {
    const arrived = now();
    const whole = (left + piece).split("\n");
    left = whole.pop();
    for (const text of whole) late.push(arrived - fromNanos(printed(text)));
  }
  return late;
}

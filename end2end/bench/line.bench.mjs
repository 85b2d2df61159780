// From a line printed by a command to the same line arriving on the live stream that browsers read.

import { Server, at, bar, machine, now } from "./lib.mjs";

const lines = 200;
const server = await Server.start();
try {
  const print = `i=0; while [ $i -lt ${lines} ]; do date +"%s%N line $i"; sleep 0.05; i=$((i+1)); done`;
  const service = await server.service("talkative", { commands: { prepare: print }, staging: false });
  const { id } = await server.api("POST", `/services/${service.id}/runs`, { branch: "main" });
  const late = [];
  const done = await server.follow(id, (event, data) => {
    if (event !== "log") return;
    const arrived = now();
    for (const line of JSON.parse(data).lines) {
      const printed = /^(\d{19}) line \d+$/.exec(line.text);
      if (printed) late.push(arrived - Number(BigInt(printed[1]) / 1000n) / 1000);
    }
  });
  if (late.length !== lines) throw new Error(`${late.length} of ${lines} lines arrived; the run ended as ${done.status}`);
  console.log(`${lines} lines on ${machine()}: half within ${at(late, 0.5).toFixed(1)} ms`);
  bar("a line printed to the line on the stream, 95%", at(late, 0.95), 150, "ms");
} finally {
  await server.remove();
}

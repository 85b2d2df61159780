// Load over keep-alive connections: each asks again as soon as it was answered, until told to stop.
// Refuses to try anything twice: a request that is not answered with 200 and its whole body is a failure, and its reason is counted.

import { Agent, get } from "node:http";
import { now } from "../bench/lib/numbers.mjs";

/** Starts `connections` loops over one address. `stop()` ends them and answers every request: `{ at, took, by?, failed? }`. */
export function load(url, connections) {
  const requests = [];
  let going = true;
  const loops = Array.from({ length: connections }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (going) requests.push(await once(url, agent));
    agent.destroy();
  });
  return {
    requests,
    async stop() {
      going = false;
      await Promise.all(loops);
      return requests;
    },
  };
}

function once(url, agent) {
  const began = now();
  return new Promise((resolve) => {
    const end = (rest) => resolve({ at: began, took: now() - began, ...rest });
    const request = get(url, { agent, timeout: 10_000 }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (piece) => (body += piece));
      answer.on("end", () => end(answer.statusCode === 200 && answer.complete ? { by: body } : { failed: `${answer.statusCode} ${body.slice(0, 80)}` }));
      answer.on("error", (error) => end({ failed: `in the answer: ${error.code ?? error.message}` }));
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 10 s")));
    request.on("error", (error) => end({ failed: `${error.code ?? error.message}${request.reusedSocket ? " on a kept connection" : ""}` }));
  });
}

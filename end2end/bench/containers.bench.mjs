// What Seamless costs over the Docker it calls: an image is built, tested by Compose and deployed, and beside it the same three
// things are done by hand with `docker build`, `docker compose up` and `docker run`, in turns, by the same daemon.
//
// The work is of a small service's size and the same on both sides: a build step of four seconds, a test of three, a start of one.
// It needs a Docker daemon with the demo's base image.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, freePort, run, untilOk } from "./lib/server.mjs";
import { median, now } from "./lib/numbers.mjs";

export const title = "build, test and deploy in containers, beside the bare docker build, docker compose up and docker run";
const rounds = 5;
const LONG = 120_000;

const dockerfile = (version) => `FROM seamless/demo-base
WORKDIR /app
COPY server.mjs ./
RUN : ${version} && sleep 4
ENV VERSION=${version}
EXPOSE 8080
CMD ["node", "server.mjs"]
`;
const server_mjs = `import { createServer } from 'node:http';
await new Promise((go) => setTimeout(go, 1000));
createServer((_, answer) => answer.end(process.env.VERSION)).listen(process.env.PORT ?? 8080, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
`;
const compose = `services:
  measured:
    image: \${CANDIDATE:-measured}
  test:
    image: seamless/demo-base
    depends_on: [measured]
    command: ["sh", "-c", "sleep 3"]
`;

export async function measure(report) {
  const server = await Server.start();
  try {
    const files = { Dockerfile: dockerfile("first"), "server.mjs": server_mjs, "compose.test.yaml": compose };
    const service = await server.service("measured", {
      auto_deploy: true, staging: false, health_path: "/", dockerfile: "Dockerfile", integration: {}, environments: { production: { target: "docker" } },
    }, files);
    await finished(server, await server.finish(service));
    const ours = [];
    const theirs = [];
    for (let n = 0; n < rounds; n++) {
      await writeFile(join(service.clone, "Dockerfile"), dockerfile(`ours-${process.pid}-${n}`));
      await service.git("commit", "--quiet", "--all", "-m", `Round ${n}`);
      await service.git("push", "--quiet", "origin", "main:refs/heads/other"); // a branch that starts nothing by itself
      const { stdout } = await service.git("rev-parse", "HEAD");
      const { id } = await server.api("POST", `/services/${service.id}/runs`, { commit: stdout.trim() });
      const done = await finished(server, await server.follow(id));
      const took = (kind) => done.stages.find((stage) => stage.kind === kind).duration_ms;
      ours.push({ build: took("build"), test: took("integration_test"), deploy: took("deploy_production") });
      theirs.push(await byHand(server, n));
    }
    const all = ({ build, test, deploy }) => build + test + deploy;
    const rows = [["build", "docker build"], ["test", "docker compose up, then down"], ["deploy", "docker run until it answers, then docker stop of the one before"]];
    for (const [part, words] of rows) {
      report.row(`stage ${part}`, "ms", ours.map((one) => one[part]));
      report.row(words, "ms", theirs.map((one) => one[part]), { reference: true });
    }
    report.row("all three stages", "ms", ours.map(all));
    report.row("all three by hand", "ms", theirs.map(all), { reference: true });
    const base = median(theirs.map(all));
    report.row("overhead of all three over the reference's median", "%", ours.map((one) => (all(one) / base - 1) * 100), { bar: { of: "median", most: 10 } });
  } finally {
    await server.remove();
  }
}

async function finished(server, done) {
  if (done.status !== "success") throw new Error(`run ${done.number} ended as ${done.status}: ${done.reason}`);
  return done;
}

let before;
async function byHand(server, n) {
  const name = `seamless-bench-${process.pid}-${n}`;
  const folder = join(server.data, "by-hand", String(n));
  await mkdir(folder, { recursive: true });
  for (const [path, text] of [["Dockerfile", dockerfile(`theirs-${process.pid}-${n}`)], ["server.mjs", server_mjs], ["compose.test.yaml", compose]]) await writeFile(join(folder, path), text);
  const timed = async (work) => {
    const began = now();
    await work();
    return now() - began;
  };
  const build = await timed(() => run("docker", ["buildx", "build", "--quiet", "--tag", name, folder]));
  const compose_ = (...words) => run("docker", ["compose", "--project-name", name, "--file", join(folder, "compose.test.yaml"), ...words], { env: { ...process.env, CANDIDATE: name } });
  const test = await timed(async () => {
    await compose_("up", "--abort-on-container-exit", "--exit-code-from", "test");
    await compose_("down", "--volumes", "--timeout", "5");
  });
  const port = await freePort();
  const deploy = await timed(async () => {
    await run("docker", ["run", "--detach", "--name", name, "--init", "--publish", `127.0.0.1:${port}:8080`, name]);
    await untilOk(`http://127.0.0.1:${port}/`, now() + LONG);
    if (before) await run("docker", ["stop", before]);
  });
  if (before) await run("docker", ["rm", before]);
  before = name;
  if (n === rounds - 1) await run("docker", ["rm", "--force", name]);
  return { build, test, deploy };
}

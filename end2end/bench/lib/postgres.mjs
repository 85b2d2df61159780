// A real PostgreSQL for a measurement, with its syncs on: what is measured as durable has to be. One cluster of its own, which goes away.
// Refuses to skip: a measurement that needs PostgreSQL says so where there is none.

import { existsSync, readdirSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, run } from "./server.mjs";

const root = "/usr/lib/postgresql";

function programs() {
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(root, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
  if (!found) throw new Error("this measurement needs PostgreSQL: install it (Debian: `apt-get install postgresql`)");
  return found;
}

/** Starts one; answers its URL and how to end it. */
export async function postgres() {
  const [bin, folder, port] = [programs(), await mkdtemp(join(tmpdir(), "seamless-bench-pg-")), await freePort()];
  // PostgreSQL does not run as root; as root it is handed to its own user.
  const isRoot = process.getuid() === 0;
  if (isRoot) {
    const { stdout } = await run("id", ["-u", "postgres"]);
    await chown(folder, Number(stdout), 0);
  }
  const as = (...words) => (isRoot ? run("setpriv", ["--reuid=postgres", "--regid=postgres", "--init-groups", ...words], { cwd: folder }) : run(words[0], words.slice(1), { cwd: folder }));
  await as(join(bin, "initdb"), "-D", join(folder, "data"), "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8");
  const options = `-c listen_addresses=127.0.0.1 -p ${port} -k ${folder} -c shared_buffers=256MB -c max_wal_size=4GB`;
  await as(join(bin, "pg_ctl"), "-D", join(folder, "data"), "-w", "-t", "60", "-l", join(folder, "log"), "-o", options, "start");
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      await as(join(bin, "pg_ctl"), "-D", join(folder, "data"), "-m", "fast", "stop");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

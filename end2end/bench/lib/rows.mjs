// The two databases, from outside: a PostgreSQL of the measurement's own, and SQL that is run beside the server.
// Refuses to know what rows mean.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, plain } from "./server.mjs";

/** What a program says to some input. */
function says(program, words, input) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env: plain(), stdio: ["pipe", "pipe", "pipe"] });
    let [out, err] = ["", ""];
    child.stdout.on("data", (piece) => { out += piece; });
    child.stderr.on("data", (piece) => { err += piece; });
    child.on("error", reject).on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${program}: ${err.slice(0, 2000)}`))));
    child.stdin.end(input);
  });
}

const PYTHON = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for pragma in ("synchronous=OFF", "cache_size=-400000", "temp_store=MEMORY"):
    db.execute("PRAGMA " + pragma)
for statement in sys.stdin.read().split(";;"):
    for row in db.execute(statement):
        print("|".join("" if v is None else str(v) for v in row))
`;

/** A SQLite file, through Python's own module. Statements are divided by `;;`. */
export function sqlite(file) {
  const sql = (text) => says("python3", ["-c", PYTHON, file], text);
  return {
    name: "SQLite", url: `sqlite:${file}`, sql,
    number: (expression, digits) => `printf('%0${digits}d', ${expression})`,
    columns: async (table) => (await sql(`SELECT name FROM pragma_table_info('${table}')`)).trim().split("\n"),
    own: "VACUUM INTO",
    copy: (folder) => sql(`VACUUM INTO '${join(folder, "copy.db")}'`),
  };
}

/** A PostgreSQL that is started for this, and goes away with it. */
export async function postgres() {
  const found = await readdir("/usr/lib/postgresql").catch(() => []);
  const bin = found.sort((a, b) => b - a).map((version) => `/usr/lib/postgresql/${version}/bin`).find((path) => existsSync(`${path}/initdb`));
  if (!bin) throw new Error("this measurement needs PostgreSQL: install it (Debian: `apt-get install postgresql`)");
  const folder = await mkdtemp(join(tmpdir(), "seamless-bench-pg-"));
  const port = await freePort();
  // It does not run as root; as root it is handed to its own user. It ends when its standard input does, however this process ends.
  const script = `
    set -e
    as() { if [ "$(id -u)" = 0 ]; then chown -R postgres "${folder}"; setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }
    cd "${folder}"
    as ${bin}/initdb -D "${folder}/data" -A trust -U postgres --locale=C.UTF-8 -E UTF8 >&2
    as ${bin}/pg_ctl -D "${folder}/data" -w -l "${folder}/log" -o "-c listen_addresses=127.0.0.1 -p ${port} -k ${folder} -c max_wal_size=4GB" start >&2
    echo ready
    read -r _ || :
    as ${bin}/pg_ctl -D "${folder}/data" -m immediate stop >/dev/null 2>&1 || :
    rm -rf "${folder}"`;
  const keeper = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
  const ended = new Promise((resolve) => keeper.on("exit", resolve));
  await new Promise((resolve, reject) => {
    keeper.stdout.once("data", resolve);
    ended.then(() => reject(new Error("PostgreSQL did not start")));
  });
  const url = `postgres://postgres@127.0.0.1:${port}`;
  const made = [];
  return {
    async database() {
      const name = `bench_${made.push(0)}`;
      await says(`${bin}/psql`, ["-q", `${url}/postgres`], `CREATE DATABASE ${name}`);
      const sql = (text) => says(`${bin}/psql`, ["-qAt", "-v", "ON_ERROR_STOP=1", `${url}/${name}`], `${text.replaceAll(";;", ";\n")};`);
      return {
        name: "PostgreSQL", url: `${url}/${name}`, sql,
        own: "pg_dump -Fc",
        copy: (to) => says(`${bin}/pg_dump`, ["-Fc", "-f", join(to, "copy.dump"), `${url}/${name}`], ""),
        number: (expression, digits) => `lpad((${expression})::text, ${digits}, '0')`,
        columns: async (table) => (await sql(`SELECT column_name FROM information_schema.columns WHERE table_name = '${table}'`)).trim().split("\n"),
      };
    },
    async stop() {
      keeper.stdin.end();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

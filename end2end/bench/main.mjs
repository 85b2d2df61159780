// Measures what the bars promise, or those that are named: `node end2end/bench/main.mjs [NAME...]`.
// `--markdown` prints the last results as a table for a document, and measures nothing.
// Each number stands beside a reference of the same run. A bar that is missed marks its row; only what cannot be measured fails.

import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Report, machine, markdown, now } from "./lib/numbers.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(process.env.CARGO_TARGET_DIR ?? "target", "bench");
const known = readdirSync(here).filter((file) => file.endsWith(".bench.mjs")).map((file) => file.slice(0, -".bench.mjs".length));
// What wants a machine with nothing else to do comes first.
const order = ["ready", "push", "hooks", "overhead", "line", "viewers", "ingest", "switch", "containers", "many", "executions", "idle", "wasm"];
known.sort((a, b) => order.indexOf(a) - order.indexOf(b));

if (process.argv[2] === "--one") {
  const [, , , name] = process.argv;
  const { title, measure } = await import(`./${name}.bench.mjs`);
  const report = new Report(name, title);
  await measure(report);
  report.print();
  report.write(out);
} else if (process.argv[2] === "--markdown") {
  console.log(markdown(JSON.parse(readFileSync(join(out, "all.json"), "utf8"))));
} else {
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`There is no measurement ${unknown.join(", ")}; there are ${known.join(", ")}.`);
    process.exit(2);
  }
  // What takes minutes and gigabytes by itself is measured when it is named.
  const alone = ["scale"];
  const chosen = known.filter((name) => (wanted.length > 0 ? wanted.includes(name) : !alone.includes(name)));
  const { cores, model, kernel, load } = machine();
  console.log(`${cores} cores (${model}), Linux ${kernel}, load ${load.toFixed(2)} before: ${load > 0.5 ? "something else is at work here, and the numbers show it" : "quiet"}`);
  const began = now();
  const failed = [];
  for (const name of chosen) {
    // A process for each: nothing of one measurement lies in the way of the next.
    const words = [fileURLToPath(import.meta.url), "--one", name];
    const child = promisify(execFile)(process.execPath, words, { maxBuffer: 1 << 26 });
    child.child.stdout.pipe(process.stdout);
    child.child.stderr.pipe(process.stderr);
    await child.catch(() => failed.push(name));
  }
  const reports = chosen.filter((name) => !failed.includes(name)).map((name) => JSON.parse(readFileSync(join(out, `${name}.json`), "utf8")));
  writeFileSync(join(out, "all.json"), `${JSON.stringify(reports, null, 1)}\n`);
  const barred = reports.flatMap((report) => report.rows.filter((row) => row.bar).map((row) => ({ ...row, of: report.name })));
  const missed = barred.filter((row) => !row.holds);
  console.log(`\n${barred.length - missed.length} of ${barred.length} bars hold; ${((now() - began) / 1000).toFixed(0)} s; JSON in ${out}/`);
  for (const row of missed) console.log(`  missed: ${row.of}: ${row.what}`);
  for (const name of failed) console.log(`  not measured: ${name}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

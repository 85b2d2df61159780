// Time, shares of many values, and the table they end up in. Refuses to fail: a bar that is missed marks its row, no more.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

let offset = null;

/** The wall clock in milliseconds, with microseconds: what other processes' `date +%s%N` can be compared with. */
export function now() {
  offset ??= compared();
  return performance.now() + offset;
}

/** How the fine clock lies to the coarse one, whatever was corrected since this process began: told by the coarse one's ticks. */
function compared() {
  let [best, tick] = [-Infinity, Date.now()];
  for (let n = 0; n < 25; n++) {
    for (const before = tick; tick === before; ) tick = Date.now();
    // Whatever came between a tick and the look at the fine clock makes the difference smaller: the largest is the truest.
    best = Math.max(best, tick - performance.now());
  }
  return best;
}

/** A time that `date +%s%N` printed, in milliseconds. */
export const fromNanos = (text) => Number(BigInt(text.trim()) / 1000n) / 1000;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The value below which a share of all values lies. */
export function at(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const written = (value, unit) => (value === undefined ? "" : value.toFixed(unit === "ms" || unit === "MB" || unit === "KB" ? 1 : unit === "cores" ? 2 : unit === "s" ? 1 : 0));

/** Reports as one table for a document. */
export function markdown(reports) {
  const lines = ["| measured | median | p95 | min | max | n | bar |", "|---|--:|--:|--:|--:|--:|---|"];
  for (const report of reports) {
    lines.push(`| **${report.name}**: ${report.title} | | | | | | |`);
    for (const row of report.rows) {
      const many = row.n > 1 ? [row.p95, row.min, row.max] : [undefined, undefined, undefined];
      const numbers = [row.median, ...many].map((value) => written(value, row.unit));
      const what = `${row.reference ? "_reference:_ " : ""}${row.what.trim()} [${row.unit}]`;
      lines.push(`| ${[what, ...numbers, row.n, verdict(row)].join(" | ")} |`);
    }
  }
  return lines.join("\n");
}

const limit = ({ of, most, least }) => (least !== undefined ? `${of} > ${least}` : `${of} ${most === 0 ? "0" : `< ${most}`}`);
const verdict = (row) => (row.bar ? `${row.holds ? "holds" : "MISSED"}: ${limit(row.bar)}` : "");

/** What one measurement found. */
export class Report {
  rows = [];
  notes = [];

  constructor(name, title) {
    Object.assign(this, { name, title, began: new Date().toISOString(), machine: machine() });
  }

  /** A row of one or many values. `bar: { of: "median" | "p95" | "p99" | "max", most }`, or `least`, is what was promised of it. */
  row(what, unit, values, { bar, reference = false } = {}) {
    const all = [values].flat();
    if (all.length === 0) throw new Error(`nothing was measured: ${what}`);
    const row = { what, unit, n: all.length, median: median(all), p95: at(all, 0.95), p99: at(all, 0.99), min: at(all, 0), max: at(all, 1), reference };
    if (all.length <= 2000) row.values = all; // of more, the shares say enough
    const holds = () => (bar.least !== undefined ? row[bar.of] > bar.least : row[bar.of] < bar.most || (bar.most === 0 && row[bar.of] === 0));
    if (bar) Object.assign(row, { bar, holds: holds() });
    this.rows.push(row);
    return row;
  }

  note(text) {
    this.notes.push(text);
  }

  print() {
    const head = ["", "median", "p95", "min", "max", "n", "bar"];
    const body = this.rows.map((row) => [
      `${row.reference ? "  reference: " : ""}${row.what} [${row.unit}]`,
      ...[row.median, ...(row.n > 1 ? [row.p95, row.min, row.max] : [undefined, undefined, undefined])].map((v) => written(v, row.unit)),
      String(row.n),
      verdict(row),
    ]);
    const wide = head.map((_, column) => Math.max(...[head, ...body].map((cells) => cells[column].length)));
    const line = (cells) => cells.map((cell, column) => (column === 0 || column === 6 ? cell.padEnd(wide[column]) : cell.padStart(wide[column]))).join("  ").trimEnd();
    console.log(`\n${this.name}: ${this.title}`);
    for (const cells of [head, ...body]) console.log(`  ${line(cells)}`);
    for (const note of this.notes) console.log(`  ${note}`);
  }

  /** Leaves it as JSON for whoever compares runs. */
  write(folder) {
    mkdirSync(folder, { recursive: true });
    const { name, title, began, machine, rows, notes } = this;
    writeFileSync(`${folder}/${name}.json`, `${JSON.stringify({ name, title, began, ended: new Date().toISOString(), machine, rows, notes }, null, 1)}\n`);
  }
}

/** What the numbers were measured on, and how busy it was with other things. */
export function machine() {
  const model = cpus()[0]?.model.trim() ?? "unknown";
  const read = (command, words) => { try { return execFileSync(command, words, { encoding: "utf8" }).trim(); } catch { return "unknown"; } };
  return {
    cores: cpus().length, model, kernel: read("uname", ["-r"]), node: process.version, git: read("git", ["--version"]),
    memory: /MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1], load: loadavg()[0],
  };
}

/** Processor time that a process has used, in milliseconds. */
export function used(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10; // clock ticks of 10 ms
}

/** What a process holds in memory, in megabytes (of 1024 * 1024 bytes). */
export function resident(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024;
  return { all: of("VmRSS"), own: of("RssAnon"), files: of("RssFile") };
}

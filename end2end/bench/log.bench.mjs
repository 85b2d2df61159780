// A finished log of a million lines, and one of ten million, in a real browser: open, jump, search, and what it takes in memory.
// Beside it the same text as one plain page, which is what a viewer does that sends everything, and grep over it as a file.

import { execFile } from "node:child_process";
import { createReadStream, readFileSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { Server, binary, run } from "./lib/server.mjs";
import { now } from "./lib/numbers.mjs";

export const title = "long logs in Chromium: first paint at the end, jump, search, memory";
const rounds = 7;
const MILLION = 1_000_000;
const VIEW = { width: 1360, height: 860 };
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

// Lines as a test runner prints them: 120 bytes, one in a hundred thousand with a word of its own.
const printing = (lines) => `awk 'BEGIN { for (i = 1; i <= ${lines}; i++) printf "%s %07d%s\\n",
  "test orders::cart::adding_the_same_article_twice_makes_one_position_of_two ... ok, took 12 ms on worker 3, attempt 1 of",
  i, i % 100000 == 50000 ? " nee" "dle" : "" }'`;

export async function measure(report) {
  const server = await Server.start([], { SEAMLESS_SLOTS: "1" });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  try {
    const blank = await browser.newPage();
    const before = memory(browser);
    await blank.close();
    const million = await printed(server, "million", MILLION);
    const cookies = await logIn(server, browser);
    await walked(report, "1,000,000 lines", { browser, server, cookies, lines: MILLION, ...million, bars: true });
    report.row("an empty page's process", "MB", before.page, { reference: true });
    report.row("all of Chromium with an empty page", "MB", before.all, { reference: true });
    await plainly(report, browser, server, million);
    const ten = await printed(server, "ten-million", 10 * MILLION);
    await walked(report, "10,000,000 lines", { browser, server, cookies, lines: 10 * MILLION, ...ten, bars: false });
  } finally {
    await browser.close();
    await server.remove();
  }
}

/** A run whose unit test printed that many lines. */
async function printed(server, name, lines) {
  const service = await server.service(name, { commands: { unit_test: printing(lines) }, staging: false });
  const done = await server.finish(service);
  const stage = done.stages.find((stage) => stage.kind === "unit_test");
  if (stage.status !== "success") throw new Error(`${name}: ${stage.status} ${stage.reason}`);
  return { path: `/runs/${done.id}?stage=unit_test`, run: done.id, took: stage.duration_ms };
}

async function logIn(server, browser) {
  const { stdout } = await run(binary, ["login"], { env: server.env });
  const link = /http\S+\/login\/\S+/.exec(stdout)[0];
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  const state = await context.storageState();
  await context.close();
  return state;
}

async function walked(report, what, { browser, server, cookies, lines, path, took, bars }) {
  report.note(`${what}: printed and stored in ${(took / 1000).toFixed(1)} s (${Math.round(lines / took)} lines/ms)`);
  const barred = (most) => (bars ? { bar: { of: "median", most } } : {});
  const [paint, end, jump, search, held] = [[], [], [], [], []];
  for (let n = 0; n < rounds; n++) {
    const context = await browser.newContext({ viewport: VIEW, storageState: cookies });
    const page = await context.newPage();
    const began = now();
    await page.goto(`${server.url}${path}`, { waitUntil: "commit" });
    await page.waitForFunction(() => document.querySelector(".lines .ln:last-of-type"));
    const last = String(lines).padStart(7, "0");
    await shown(page, last);
    end.push(now() - began);
    paint.push(await page.evaluate(() => new Promise((go) => {
      const found = performance.getEntriesByName("first-contentful-paint")[0];
      if (found) return go(found.startTime);
      new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach((e) => go(e.startTime))).observe({ type: "paint", buffered: true });
    })));
    // Awake: the keys work.
    await page.locator(".lines.paper").waitFor();
    const line = Math.floor(lines / 2) + n * 1000;
    jump.push(await timed(page, `:${line}`, { id: `L${line}` }));
    search.push(await timed(page, n % 2 ? "needle" : "0950000 needle", { status: / of \d/.source }));
    held.push(memory(browser));
    await context.close();
  }
  report.row(`${what}: open at the end, first contentful paint`, "ms", paint, barred(300));
  report.row(`${what}: open, until the last line is in view`, "ms", end);
  report.row(`${what}: jump to the middle, until the line is drawn`, "ms", jump, barred(200));
  report.row(`${what}: search through all of it, until the count`, "ms", search, barred(1000));
  // The bar is the page's: Chromium without any page is above 200 MB already, with an empty one above 300.
  report.row(`${what}: the page's process after that (PSS)`, "MB", held.map(({ page }) => page), bars ? { bar: { of: "max", most: 300 } } : {});
  report.row(`${what}: all of Chromium`, "MB", held.map(({ all }) => all));
}

/** Waits until a text is in view in the panel; the panel itself may reach below the window. */
const shown = (page, text) =>
  page.waitForFunction((text) => {
    const panel = document.querySelector(".lines");
    if (!panel) return false;
    const view = panel.getBoundingClientRect();
    return [...panel.querySelectorAll(".ln")].some((el) => {
      const at = el.getBoundingClientRect();
      return el.textContent.includes(text) && at.top < view.bottom && at.bottom > view.top;
    });
  }, text);

/** Types a request into the search field of the log; the time from Enter to the frame in which its answer stands there. */
async function timed(page, request, wanted) {
  await page.keyboard.press("/");
  const field = page.getByRole("searchbox", { name: "Search this log" });
  await field.fill(request);
  await page.evaluate(({ id, status }) => {
    const there = () => {
      if (id) {
        const [panel, line] = [document.querySelector(".lines.paper"), document.getElementById(id)];
        if (!line || line.classList.contains("none")) return false;
        const [view, at] = [panel.getBoundingClientRect(), line.getBoundingClientRect()];
        return at.top >= view.top - 1 && at.bottom <= view.bottom + 1;
      }
      return new RegExp(status).test(document.querySelector(".steps [role=status]")?.textContent ?? "");
    };
    window.took = new Promise((go) => {
      addEventListener("keydown", () => {
        const began = performance.now();
        const look = () => (there() ? go(performance.now() - began) : requestAnimationFrame(look));
        requestAnimationFrame(look);
      }, { once: true, capture: true });
    });
  }, wanted);
  await page.keyboard.press("Enter");
  const took = await page.evaluate(() => window.took);
  await field.fill("");
  await page.keyboard.press("Escape");
  return took;
}

/** The same lines as one page of plain text, and as a file that grep reads. */
async function plainly(report, browser, server, { run: id }) {
  const file = join(server.data, "plain.txt");
  const answer = await fetch(`${server.url}/api/v1/runs/${id}`, { headers: { authorization: `Bearer ${server.token}` } }).then((a) => a.json());
  const stage = answer.stages.find((stage) => stage.kind === "unit_test");
  const text = await fetch(`${server.url}/api/v1/stages/${stage.id}/log.txt`, { headers: { authorization: `Bearer ${server.token}` } });
  if (!text.ok) throw new Error(`log.txt: ${text.status}`);
  await writeFile(file, Buffer.from(await text.arrayBuffer()));
  const http = createServer((_, answer) => {
    answer.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    createReadStream(file).pipe(answer);
  });
  await new Promise((go) => http.listen(0, "127.0.0.1", go));
  const page = await browser.newPage({ viewport: VIEW });
  const began = now();
  await page.goto(`http://127.0.0.1:${http.address().port}/`, { timeout: 300_000 });
  await page.evaluate(() => { scrollTo(0, document.documentElement.scrollHeight); return new Promise(requestAnimationFrame); });
  report.row("1,000,000 lines as one page of text, until its end is in view", "ms", now() - began, { reference: true });
  report.row("and the page's process with it (PSS)", "MB", memory(browser).page, { reference: true });
  await page.close();
  http.close();
  const grep = [];
  for (let n = 0; n < rounds; n++) {
    const began = now();
    await promisify(execFile)("grep", ["--count", "needle", file]);
    grep.push(now() - began);
  }
  report.row("grep -c over the same lines as a file", "ms", grep, { reference: true });
}

/** The memory of a browser and everything it started, and of it what draws pages, each shared page counted by its share, in megabytes. */
function memory(browser) {
  const root = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const parent = (pid) => { try { return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ")[1]); } catch { return 0; } };
  const ours = new Set();
  const parents = new Map(root.map((pid) => [Number(pid), parent(pid)]));
  const under = (pid) => pid === process.pid || (parents.has(pid) && parents.get(pid) > 1 && under(parents.get(pid)));
  for (const pid of parents.keys()) if (pid !== process.pid && under(pid) && /chrom/.test(command(pid))) ours.add(pid);
  if (ours.size === 0) throw new Error(`no process of ${browser.version()} was found`);
  const held = { all: 0, page: 0 };
  for (const pid of ours) {
    try {
      const pss = Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) / 1024;
      held.all += pss;
      // One draws the page, another waits for the next.
      if (command(pid).includes("--type=renderer")) held.page += pss;
    } catch { /* gone */ }
  }
  return held;
}

const command = (pid) => { try { return readFileSync(`/proc/${pid}/cmdline`, "utf8"); } catch { return ""; } };

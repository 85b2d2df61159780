// A person at a browser, who notices everything that is wrong with a page.
//
// Refuses to overlook: an error or a warning in the console, an error of the page, a request that failed and a violation that
// axe finds all fail the test, unless the test said beforehand that it means to cause it.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = resolve(import.meta.dirname, '../../target/browser-tests');

const FLAGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
];

export const WIDE = { width: 1360, height: 860 };
export const NARROW = { width: 390, height: 844 };

/** The browser itself; one for all persons of a test file. */
export function launch() {
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    return chromium.launch({ executablePath, args: FLAGS });
}

export class Person {
    #problems = [];
    #expected = [];

    /** Opens a window. */
    static async open(browser, server, { javaScript = true, viewport = WIDE, theme = 'light', like } = {}) {
        const person = new Person();
        const context = await browser.newContext({
            javaScriptEnabled: javaScript,
            viewport,
            colorScheme: theme,
            reducedMotion: 'reduce',
            locale: 'en-GB',
            storageState: like ? await like.context.storageState() : undefined,
        });
        context.setDefaultTimeout(60_000);
        Object.assign(person, { context, server, javaScript, viewport, page: await context.newPage() });
        person.#watch(javaScript);
        return person;
    }

    #watch(javaScript) {
        const note = (kind, text) => {
            if (!this.#expected.some((pattern) => pattern.test(text))) this.#problems.push(`${kind}: ${text}`);
        };
        this.page.on('console', (message) => {
            // What is loaded ahead for a script stays unused where there is no JavaScript; Chromium says so after some seconds.
            const unused = !javaScript && /\.wasm\S* was preloaded using link preload but not used/.test(message.text());
            if (['error', 'warning'].includes(message.type()) && !unused) {
                note(`console ${message.type()}`, `${message.text()} (${message.location().url})`);
            }
        });
        this.page.on('pageerror', (error) => note('page error', error.stack ?? String(error)));
        this.page.on('requestfailed', (request) => {
            const why = request.failure()?.errorText ?? '';
            // A stream or a download that a new page cuts off is no failure; nor is a script where there is no JavaScript.
            const unwanted = !javaScript && why === 'csp' && request.url().includes('.js');
            if (why !== 'net::ERR_ABORTED' && !unwanted) note('request failed', `${why} ${request.method()} ${request.url()}`);
        });
        this.page.on('response', (answer) => {
            if (answer.status() >= 400) note('answer', `${answer.status()} ${answer.request().method()} ${answer.url()}`);
        });
    }

    /** From now on this is meant to happen. */
    expects(...patterns) {
        this.#expected.push(...patterns);
    }

    /** From now on nothing is meant to happen any more. */
    expectsNothing() {
        this.#expected = [];
    }

    /** Fails if something was wrong since the last time. */
    isContent(where = this.page.url()) {
        const problems = this.#problems.splice(0);
        if (problems.length > 0) throw new Error(`on ${where}:\n  ${problems.join('\n  ')}`);
    }

    async goto(path) {
        await this.page.goto(path.startsWith('http') ? path : `${this.server.url}${path}`);
        this.isContent();
    }

    /** Logs in by the link that the server printed. */
    async logIn() {
        await this.goto(this.server.link);
        if (new URL(this.page.url()).pathname !== '/') throw new Error(`the login link led to ${this.page.url()}`);
    }

    /** Looks at the page with axe, in light and in dark, and at its width. */
    async look() {
        if (!this.javaScript) return this.#lookBeside();
        const problems = [];
        for (const colorScheme of ['dark', 'light']) {
            await this.page.emulateMedia({ colorScheme });
            await this.page.evaluate(axe);
            const found = await this.page.evaluate(async () => (await window.axe.run(document)).violations);
            for (const { id, help, nodes } of found) {
                const where = nodes.slice(0, 4).map((node) => `${node.html.slice(0, 200)}\n      ${node.failureSummary?.split('\n').at(-1)?.trim()}`);
                problems.push(`${colorScheme}, ${id}: ${help}\n    ${where.join('\n    ')}`);
            }
        }
        const over = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (over > 0) problems.push(`the page is ${over} px wider than the window`);
        if (problems.length > 0) throw new Error(`on ${this.page.url()}:\n  ${problems.join('\n  ')}`);
        this.isContent();
    }

    /** axe is JavaScript itself: it looks at the same page in a window whose scripts never arrive. */
    async #lookBeside() {
        const { browser, server, viewport } = { browser: this.context.browser(), server: this.server, viewport: this.viewport };
        const twin = await Person.open(browser, server, { like: this, viewport });
        twin.expects(/./); // the scripts that are kept away
        await twin.context.route(/\.(js|wasm)(\?|$)/, (route) => route.abort());
        await twin.page.goto(this.page.url());
        await twin.look();
        await twin.context.close();
        this.isContent();
    }

    /** Waits until something is there, reloading the page meanwhile: how a person without JavaScript waits. */
    async reloadUntil(locator, { timeout = 90_000, path } = {}) {
        const end = Date.now() + timeout;
        for (;;) {
            if ((await locator.count()) > 0) return;
            if (Date.now() > end) throw new Error(`${locator} did not appear on ${this.page.url()}`);
            await new Promise((go) => setTimeout(go, 150));
            await (path ? this.page.goto(`${this.server.url}${path}`) : this.page.reload());
            this.isContent();
        }
    }

    /** The row of a service on the overview. */
    row(service) {
        return this.page.getByRole('row').filter({ has: this.page.getByRole('rowheader').getByRole('link', { name: service, exact: true }) });
    }

    /** The status in the head of the run page. */
    pill(word) {
        return this.page.locator('.headline .pill', { hasText: word });
    }

    /** Marks the document, so that a reload can be told. */
    mark() {
        return this.page.evaluate(() => {
            window.stillTheSame = true;
        });
    }

    /** Fails when the page was loaded anew since `mark`. */
    async isTheSamePage() {
        const same = await this.page.evaluate(() => window.stillTheSame === true);
        if (!same) throw new Error(`${this.page.url()} was loaded anew`);
    }

    /** A picture of what is seen, for whoever reads a failure. */
    async picture(name) {
        mkdirSync(pictures, { recursive: true });
        const path = resolve(pictures, `${name.replace(/[^a-z0-9]+/gi, '-')}.png`);
        await this.page.screenshot({ path, fullPage: true });
        return path;
    }
}

// The page of a busy run: how late lines are, what a dead server does to it, scrolling, the keyboard, a narrow window, colours.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { NARROW, Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

const PER_SECOND = 50;
const SECONDS = 16;
const ALL = PER_SECOND * SECONDS;
/** Lines for which nothing disturbs the stream; how late they are is measured. */
const CALM = PER_SECOND * 5;

/** Prints lines that say when they were printed, each at its time. */
const BUSY = `
const [begin, all] = [Date.now(), ${ALL}];
let n = 0;
(function next() {
    while (n < all && Date.now() - begin >= n * ${1000 / PER_SECOND}) process.stdout.write('tick ' + n++ + ' ' + Date.now() + '\\n');
    if (n < all) setTimeout(next, begin + n * ${1000 / PER_SECOND} - Date.now());
})();
`;

let server, browser, person, narrow, copy, run;
const step = walk(() => ({ server, people: [person, narrow] }));

before(async () => {
    [server, browser] = await Promise.all([Server.start(), launch()]);
    copy = await WorkingCopy.create(join(server.data, 'clockwork.git'), { 'busy.mjs': BUSY });
    const service = await server.api('/services', {
        method: 'POST',
        body: { name: 'clockwork', repository: copy.origin, commands: { unit_test: 'node busy.mjs' } },
    });
    person = await Person.open(browser, server);
    await person.logIn();
    run = await server.api(`/services/${service.id}/runs`, { method: 'POST', body: {} });
});

after(async () => {
    await browser?.close();
    await server?.stop();
    copy?.remove();
});

/** From now on the page itself notes when each line appears. */
const noteArrivals = () =>
    person.page.evaluate(() => {
        const seen = (window.arrivals = new Map());
        const note = () => {
            const now = performance.timeOrigin + performance.now();
            for (const line of document.querySelectorAll('.lines .ln')) {
                const tick = line.textContent.match(/tick (\d+) (\d+)/);
                if (tick && !seen.has(tick[1])) seen.set(tick[1], now - Number(tick[2]));
            }
        };
        note();
        window.before = seen.size;
        new MutationObserver(note).observe(document.querySelector('main'), { childList: true, subtree: true });
    });

/** What is drawn: the lines around what is looked at. */
const ticks = () =>
    person.page.evaluate(() => [...document.querySelectorAll('.lines .ln')].map((l) => l.textContent.match(/tick (\d+) /)?.[1]).filter(Boolean).map(Number));

/** How many lines the page says there are. */
const counted = (least = 0) =>
    person.page
        .waitForFunction((n) => {
            const count = Number(document.querySelector('.logbar .count').textContent.replace(/\D/g, ''));
            return count >= n && count;
        }, Math.max(1, least))
        .then((found) => found.jsonValue());

/** Reads the log from its first line to its last, page by page, as a person does. */
async function readAll() {
    const all = [];
    await person.page.locator('.lines.paper').waitFor();
    await person.page.keyboard.press('g');
    for (;;) {
        await person.page.waitForFunction(() => {
            const view = document.querySelector('.lines.paper').getBoundingClientRect();
            const rows = [...document.querySelectorAll('.lines .ln')].filter((el) => {
                const at = el.getBoundingClientRect();
                return at.bottom > view.top && at.top < view.bottom;
            });
            return rows.length > 0 && rows.every((el) => !el.classList.contains('none'));
        });
        const drawn = await ticks();
        assert.ok(drawn.length === 0 || drawn.every((n, i) => n === drawn[0] + i), `no line is missing or doubled: ${drawn}`);
        const fresh = drawn.filter((n) => all.length === 0 || n > all.at(-1));
        assert.ok(fresh.length === 0 || fresh[0] === (all.at(-1) ?? -1) + 1, `after ${all.at(-1)} comes ${fresh[0]}`);
        all.push(...fresh);
        const top = await person.page.locator('.lines').evaluate((el) => el.scrollTop);
        await person.page.keyboard.press('PageDown');
        const stands = () => person.page.locator('.lines').evaluate((el, top) => el.scrollTop === top && el.scrollTop + el.clientHeight >= el.scrollHeight - 1, top);
        if (await stands()) return all;
    }
}

const seen = (n) => person.page.locator('.lines .ln', { hasText: `tick ${n} ` }).waitFor({ state: 'attached' });

step('lines of a busy run appear at once', async (context) => {
    await person.goto(`/runs/${run.id}?stage=unit_test`);
    await person.page.locator('.paper .ln', { hasText: /tick \d+ / }).first().waitFor({ state: 'attached' });
    await person.mark();
    await noteArrivals();
    await seen(CALM);
    const late = await person.page.evaluate(() => [...window.arrivals.values()].slice(window.before));
    late.sort((a, b) => a - b);
    const at = (share) => Math.round(late[Math.min(late.length - 1, Math.floor(late.length * share))]);
    const result = { measure: 'line printed to line in the browser, ms', lines: late.length, p50: at(0.5), p95: at(0.95), max: at(1) };
    context.diagnostic(JSON.stringify(result));
    assert.ok(late.length >= 50, `${late.length} lines were measured`);
    assert.ok(result.p95 < 2000, 'far beyond what any machine may need');
});

step('scrolling up lets go of the end, scrolling down takes it again', async () => {
    const panel = person.page.getByRole('log', { name: 'Lines' });
    const follow = person.page.getByRole('button', { name: /^Follow/ });
    const fromEnd = () => panel.evaluate((el) => el.scrollHeight - el.scrollTop - el.clientHeight);
    assert.equal(await follow.innerText(), 'Following');
    await panel.hover();
    await person.page.mouse.wheel(0, -600);
    await follow.filter({ hasText: /^Follow$/ }).waitFor();
    const reading = () =>
        panel.evaluate((el) => {
            const top = el.getBoundingClientRect().top;
            return [...el.querySelectorAll('.ln')].find((line) => line.getBoundingClientRect().bottom > top)?.id;
        });
    const line = await reading();
    await counted((await counted()) + 20);
    assert.equal(await reading(), line, 'new lines do not move what is read');
    await follow.click();
    await follow.filter({ hasText: 'Following' }).waitFor();
    await seen(Math.max(...(await ticks())) + 5);
    assert.ok((await fromEnd()) < 60, 'the end is in view again');
});

step('a server that is killed costs no line and no reload', async () => {
    person.expects(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
    await server.kill();
    await person.page.getByText('Reconnecting').waitFor();
    await server.launch();
    await person.page.getByText('Reconnecting').waitFor({ state: 'detached' });
    await seen(ALL - 1);
    await person.pill('Succeeded').waitFor();
    await person.isTheSamePage();
    person.isContent();
    person.expectsNothing();
    const expected = Array.from({ length: ALL }, (_, n) => n);
    assert.deepEqual(await readAll(), expected, 'every line once, in order');
    await person.goto(`/runs/${run.id}?stage=unit_test`);
    assert.deepEqual(await readAll(), expected, 'and the same after a reload');
    await person.look();
});

step('every stop of the keyboard can be seen', async () => {
    for (const path of ['/', `/runs/${run.id}?stage=unit_test`]) {
        await person.goto(path);
        const unseen = [];
        for (let stop = 0; stop < 30; stop++) {
            await person.page.keyboard.press('Tab');
            const found = await person.page.evaluate(() => {
                const el = document.activeElement;
                if (!el || el === document.body) return null;
                const visible = (e) => {
                    const style = getComputedStyle(e);
                    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
                };
                // A hidden checkbox shows its focus on its label.
                const box = el.getBoundingClientRect();
                return { html: el.outerHTML.slice(0, 120), visible: visible(el) || (el.parentElement && visible(el.parentElement)), box: box.width * box.height };
            });
            if (!found) break;
            if (!found.visible) unseen.push(found.html);
        }
        assert.deepEqual(unseen, [], path);
    }
    await person.goto('/');
    await person.page.keyboard.press('Tab');
    await person.page.keyboard.press('Enter');
    assert.equal(new URL(person.page.url()).hash, '#main', 'the first stop skips the navigation');
});

step('a narrow window loses nothing', async () => {
    narrow = await Person.open(browser, server, { viewport: NARROW, like: person });
    const service = `/services/${run.service.id}`;
    for (const path of ['/', '/runs', `/runs/${run.id}?stage=unit_test`, service, `${service}/settings`, '/services/new', '/approvals', '/deliveries', '/settings']) {
        await narrow.goto(path);
        await narrow.look();
        const small = await narrow.page.evaluate(() =>
            // What is hidden from everybody is only there for the Enter key.
            [...document.querySelectorAll('main button:not([aria-hidden]), nav.side a')]
                .filter((el) => el.offsetParent !== null && el.getBoundingClientRect().height < 24)
                .map((el) => el.outerHTML.slice(0, 120)),
        );
        assert.deepEqual(small, [], `large enough for a thumb on ${path}`);
    }
});

step('colours are chosen and kept', async () => {
    const ground = () => person.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await person.goto('/settings');
    const light = await ground();
    await person.page.getByRole('button', { name: 'Dark', exact: true }).click();
    await person.page.locator('html[data-theme=dark]').waitFor();
    assert.notEqual(await ground(), light);
    await person.goto('/runs');
    assert.notEqual(await ground(), light, 'on every page');
    await person.goto('/settings');
    await person.page.getByRole('button', { name: 'As the system does' }).click();
    await person.page.locator('html:not([data-theme])').waitFor();
    assert.equal(await ground(), light);
});

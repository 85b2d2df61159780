// The view of a log of a million lines: any line at once, search, folds, links to lines and ranges, times, keys, copying; on a phone as well.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { NARROW, Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

const ALL = 1_000_000;
const PRINT = `awk 'BEGIN {
    print "::group::Set up"; for (i = 0; i < 40; i++) print "set up " i; print "::endgroup::";
    for (i = 0; i < ${ALL}; i++) print "line " i (i % 100000 == 77777 ? " has a nee" "dle" : "");
    print "\\033[31merror: no tea is left\\033[0m"; for (i = 0; i < 300; i++) print "after " i;
}'; exit 1`;

let server, browser, person, narrow, copy, run, path;
const step = walk(() => ({ server, people: [person, narrow] }));
const panel = () => person.page.locator('.lines.paper');
const row = (text) => panel().locator('.ln', { hasText: text });
const line = (n) => panel().locator(`#L${n}:not(.none)`);
const press = (...keys) => keys.reduce((before, key) => before.then(() => person.page.keyboard.press(key)), Promise.resolve());
const search = () => person.page.getByRole('searchbox', { name: 'Search this log' });
const says = (text) => person.page.locator('.steps [role=status]', { hasText: text }).waitFor();

/** Waits until a line stands within the panel. */
const inView = (id) =>
    person.page.waitForFunction((id) => {
        const [panel, line] = [document.querySelector('.lines.paper'), document.getElementById(id)];
        if (!panel || !line || line.classList.contains('none')) return false;
        const [view, at] = [panel.getBoundingClientRect(), line.getBoundingClientRect()];
        return at.top >= view.top - 1 && at.bottom <= view.bottom + 1;
    }, id);

before(async () => {
    [server, browser] = await Promise.all([Server.start(), launch()]);
    copy = await WorkingCopy.create(join(server.data, 'long.git'), { 'README.md': 'long\n' });
    const service = await server.api('/services', { method: 'POST', body: { name: 'long', repository: copy.origin, commands: { unit_test: PRINT } } });
    person = await Person.open(browser, server);
    await person.logIn();
    run = await server.api(`/services/${service.id}/runs`, { method: 'POST', body: {} });
    path = `/runs/${run.id}?stage=unit_test`;
    while (!['failure', 'success', 'cancelled'].includes(run.status)) {
        await new Promise((go) => setTimeout(go, 250));
        run = await server.api(`/runs/${run.id}`);
    }
    assert.equal(run.status, 'failure', run.reason);
});

after(async () => {
    await browser?.close();
    await server?.stop();
    copy?.remove();
});

step('a failed log opens where it failed', async () => {
    await person.goto(path);
    await person.page.locator('.lines.paper .ln.first', { hasText: 'no tea is left' }).waitFor();
    await inView(await panel().locator('.ln.first').getAttribute('id'));
    assert.ok((await panel().locator('.ln').count()) < 1_500, 'only what is looked at is drawn');
});

step('the keys go to the end, to the beginning and to any line', async () => {
    await press('G');
    await row('after 299').waitFor();
    await press('g');
    await panel().locator('.ln.grp', { hasText: 'Set up' }).waitFor();
    await press('/');
    await search().fill(':500000');
    await press('Enter');
    await inView('L500000');
    const at = Number((await line(500_000).innerText()).match(/line (\d+)/)[1]);
    assert.ok(at > 499_900 && at < 500_000, `line 500,000 says ${at}`);
    assert.match(person.page.url(), /#L500000$/);
    await search().fill('');
});

step('what scrolls past is in order and without a hole', async () => {
    await panel().focus();
    let last = -1;
    for (let page = 0; page < 20; page++) {
        await press('PageDown');
        const seen = await person.page.waitForFunction(() => {
            const view = document.querySelector('.lines').getBoundingClientRect();
            const rows = [...document.querySelectorAll('.lines .ln')].filter((el) => {
                const at = el.getBoundingClientRect();
                return at.bottom > view.top && at.top < view.bottom;
            });
            const whole = rows.length > 0 && rows.every((el) => !el.classList.contains('none'));
            const filled = whole && rows.at(-1).getBoundingClientRect().bottom >= view.bottom - 1 && rows[0].getBoundingClientRect().top <= view.top + 1;
            return filled && rows.map((el) => Number(el.id.slice(1)));
        });
        const rows = await seen.jsonValue();
        assert.ok(rows.every((n, i) => n === rows[0] + i), `${rows}`);
        assert.ok(rows[0] > last, 'a page farther down');
        assert.ok(last < 0 || rows[0] <= last + rows.length, 'nothing is passed over');
        last = rows[0];
    }
});

step('the search finds all of it, steps round, and knows expressions', async () => {
    await press('/');
    await search().fill('has a needle');
    await press('Enter');
    await says(/ of 10$/);
    await search().press('Escape');
    await press('g', '/');
    await search().fill('has a needle');
    await press('Enter');
    await says('1 of 10');
    await panel().locator('.ln.now', { hasText: 'line 77777 has a needle' }).waitFor();
    await panel().focus();
    await press('n');
    await says('2 of 10');
    await panel().locator('.ln.now', { hasText: 'line 177777 has a needle' }).waitFor();
    await press('N', 'N');
    await says('10 of 10');
    await panel().locator('.ln.now', { hasText: 'line 977777 has a needle' }).waitFor();
    await search().fill('^line [0-9]00000$');
    await person.page.locator('.rx').click();
    await search().press('Enter');
    await says(/ of 9$/);
    person.expects(/4\d\d/);
    await search().fill('(');
    await search().press('Enter');
    await says('is no regular expression');
    await search().press('Escape');
    await person.page.locator('.rx').click();
    person.isContent();
    person.expectsNothing();
});

step('lines are chosen, shared and copied without their numbers', async () => {
    await person.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
    await person.goto(`${path}#L700000`);
    await inView('L700000');
    await line(700_000).locator('a').click();
    await line(700_003).locator('a').click({ modifiers: ['Shift'] });
    assert.match(person.page.url(), /#L700000-L700003$/);
    assert.equal(await panel().locator('.ln.sel').count(), 4);
    await person.page.getByRole('button', { name: 'Copy 4 lines' }).click();
    await says('Copied 4 lines');
    const copied = (await person.page.evaluate(() => navigator.clipboard.readText())).trim().split('\n');
    const first = Number(copied[0].match(/^line (\d+)$/)[1]);
    assert.deepEqual(copied, [0, 1, 2, 3].map((i) => `line ${first + i}`));
    const shared = person.page.url();
    await person.goto('/runs');
    await person.goto(shared);
    await inView('L700000');
    assert.equal(await panel().locator('.ln.sel').count(), 4, 'the same for whoever gets the address');
});

step('parts fold and unfold, times and wrapping are chosen and kept', async () => {
    await press('g');
    await panel().locator('.ln.grp', { hasText: 'Set up' }).waitFor();
    const fold = panel().locator('.ln.grp .tog');
    assert.equal(await fold.getAttribute('aria-expanded'), 'false', 'a group that ended is folded');
    assert.equal(await row('set up 7').count(), 0);
    await fold.click();
    await row('set up 7').waitFor();
    await fold.click();
    await row('set up 7').waitFor({ state: 'detached' });
    await press('w', 't');
    assert.equal(await person.page.locator('.times').inputValue(), 'clock');
    await person.page.reload();
    await panel().waitFor();
    assert.equal(await person.page.locator('.times').inputValue(), 'clock');
    assert.equal(await person.page.locator('.wrap-lines').isChecked(), false);
    await press('w', 't', 't');
    await press('m');
    const box = await person.page.locator('#log').boundingBox();
    assert.deepEqual([box.x, box.y], [0, 0], 'full screen');
    await press('Escape');
    assert.notEqual((await person.page.locator('#log').boundingBox()).y, 0);
    await press('?');
    await person.page.locator('#log-keys').getByText('to the first error').waitFor();
    await press('Escape');
    await press('e');
    await inView(await panel().locator('.ln.first').getAttribute('id'));
    await person.look();
});

step('on a phone it is read with one thumb', async () => {
    narrow = await Person.open(browser, server, { viewport: NARROW, like: person });
    await narrow.goto(`${path}#L600000`);
    await narrow.page.locator('.lines.paper #L600000:not(.none)').waitFor();
    await narrow.look();
});

// The tour of the README, walked in a browser: log in, watch, change a service, push, approve, break it, roll it back.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server } from '../support/server.mjs';
import { steadily } from '../support/steady.mjs';
import { walk } from '../support/walk.mjs';

const FIRST = 'Good tea, fairly priced.';
const SECOND = 'Better tea, still fairly priced.';

let server, browser, person, shop, port;
const step = walk(() => ({ server, people: [person] }));

before(async () => {
    [server, browser] = await Promise.all([Server.start({ demo: true }), launch()]);
    person = await Person.open(browser, server);
});

after(async () => {
    await browser?.close();
    await server?.stop();
    shop?.remove();
});

const greeting = (text) => {
    const header = readFileSync(join(shop.folder, 'shop.h'), 'utf8');
    return header.replace(/#define GREETING ".*"/, `#define GREETING "${text}"`);
};
const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
const waitsForApproval = () => person.page.getByRole('heading', { name: 'Waits for approval' });

/** The run page of the shop's newest run, opened from the overview as soon as it is there. */
async function openNewest(number) {
    await person.goto('/');
    const row = person.row('shop');
    const runs = async () => (await server.api('/runs')).items.filter((run) => run.service.name === 'shop');
    let run;
    while (!run) run = (await runs()).find((one) => one.number === number);
    await row.locator(`a[href="/runs/${run.id}"]`).first().click();
    await person.page.waitForURL(`**/runs/${run.id}`);
}

step('the printed link logs in, once', async () => {
    await person.logIn();
    const stranger = await Person.open(browser, server);
    await stranger.goto(server.link);
    await stranger.page.getByText('That link was used already').waitFor();
    await stranger.look();
    await stranger.goto('/runs');
    assert.equal(new URL(stranger.page.url()).pathname, '/login', 'nothing is shown to strangers');
    await stranger.context.close();
});

step('the first runs reach their ends while one watches', async () => {
    await person.mark();
    await person.row('catalog').getByText('Live', { exact: true }).waitFor();
    await person.row('pricing').getByText('Live', { exact: true }).waitFor();
    await person.row('shop').getByText('Approve', { exact: true }).waitFor();
    await person.page.locator('.needs').getByText('Waits for approval').waitFor();
    await person.page.getByRole('heading', { name: 'Production is well.' }).waitFor();
    await person.isTheSamePage();
    await person.look();
});

step("the shop's first run is approved", async () => {
    await person.page.getByRole('link', { name: 'Review' }).click();
    await waitsForApproval().waitFor();
    await person.look();
    await person.page.getByRole('button', { name: 'Approve' }).click();
    await person.page.locator('.decided', { hasText: 'Approved' }).waitFor();
    await person.mark();
    await person.pill('Succeeded').waitFor();
    await person.isTheSamePage();
    await person.look();
    await person.page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'shop' }).click();
    const production = person.page.locator('.place').filter({ has: person.page.getByRole('heading', { name: 'Production' }) });
    port = Number((await production.locator('a.port').textContent()).replace(':', ''));
    assert.match(await page(), new RegExp(FIRST));
    await person.look();
});

step('a push is watched through its stages', async () => {
    shop = await WorkingCopy.clone(join(server.data, 'demo/shop.git'));
    await shop.push('Greet better', { 'shop.h': greeting(SECOND) });
    await openNewest(2);
    await person.mark();
    await person.page.getByRole('heading', { level: 1, name: 'Greet better' }).waitFor();
    const node = (name) => person.page.locator('.graph a').filter({ hasText: name });
    for (const name of ['Prepare', 'Code Quality', 'Unit Test', 'Build', 'Integration Test', 'Staging']) {
        await node(name).locator('.st.ok').waitFor();
    }
    assert.match(await node('Production').innerText(), /waits for you/);
    await waitsForApproval().waitFor();
    assert.ok((await person.page.locator('.lines .ln').count()) > 0, 'lines of a log are shown');
    await person.isTheSamePage();
    await node('Unit Test').click();
    await person.page.locator('.lines .ln', { hasText: `the greeting fits on one line of 60 characters: ${SECOND}` }).waitFor();
    await person.look();
});

step('it is approved with a comment and takes over without a failed request', async () => {
    const watch = steadily(`http://127.0.0.1:${port}/health`);
    await person.page.getByLabel('Comment').fill('Tasted it.');
    await person.page.getByRole('button', { name: 'Approve' }).click();
    await person.page.locator('.decided', { hasText: 'Approved' }).filter({ hasText: '“Tasted it.”' }).waitFor();
    await person.mark();
    await person.pill('Succeeded').waitFor();
    await person.isTheSamePage();
    const { asked, failed } = await watch.end();
    assert.deepEqual(failed, [], `of ${asked} requests`);
    assert.match(await page(), new RegExp(SECOND));
});

step('a broken test fails the run, with the failing line in view', async () => {
    const long = 'Tea so good and so fairly priced that it does not fit on one line of a page';
    await shop.push('Greet at length', { 'shop.h': greeting(long) });
    await openNewest(3);
    await person.pill('Failed').waitFor();
    const trouble = person.page.locator('.trouble');
    await trouble.waitFor();
    assert.match(await trouble.innerText(), /greeting fits on one line|Error 1/);
    await person.page.getByRole('button', { name: 'Rerun from Unit Test' }).waitFor();
    await person.look();

    await person.goto('/');
    const card = person.page.locator('.need', { hasText: 'Unit Test failed' });
    await card.waitFor();
    await person.look();
    await card.getByRole('link', { name: 'Open at the error' }).click();
    const line = person.page.locator('.ln.first');
    await line.waitFor();
    await person.page.waitForFunction(() => {
        const panel = document.querySelector('.lines').getBoundingClientRect();
        const at = document.querySelector('.ln.first').getBoundingClientRect();
        return at.top >= panel.top && at.bottom <= panel.bottom;
    });
    assert.match(await page(), new RegExp(SECOND), 'what is live stays');
});

step('one click rolls back', async () => {
    await person.page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'shop' }).click();
    const watch = steadily(`http://127.0.0.1:${port}/health`);
    await person.page.getByRole('button', { name: /^Roll back production to / }).click();
    await person.pill('Rolled back').waitFor();
    const { asked, failed } = await watch.end();
    assert.deepEqual(failed, [], `of ${asked} requests`);
    assert.match(await page(), new RegExp(FIRST));
    await person.look();
});

step('production is on hold until it is resumed', async () => {
    await person.page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'shop' }).click();
    const hold = person.page.getByRole('region', { name: 'Hold' });
    await hold.getByText('On hold').waitFor();
    await person.look();
    await hold.getByRole('button', { name: 'Resume' }).click();
    await person.page.getByText('Hold automatic deploys').waitFor();
    assert.equal(await hold.count(), 0);
    await person.goto('/');
    assert.equal(await person.row('shop').getByText('on hold by').count(), 0);
});

step('what happened can be read on the other pages', async () => {
    for (const [path, title] of [
        ['/runs', 'Runs'],
        ['/runs?status=failure', 'Runs'],
        ['/approvals', 'Nothing waits for you.'],
        ['/deliveries', 'What hooks said'],
        ['/settings', 'Settings'],
        ['/services/new', 'Which repository is it?'],
    ]) {
        await person.goto(path);
        await person.page.getByRole('heading', { level: 1, name: title }).waitFor();
        await person.look();
    }
    person.expects(/404/);
    await person.goto('/nowhere');
    await person.page.getByRole('heading', { name: 'There is no such page.' }).waitFor();
    await person.look();
    person.expectsNothing();
});

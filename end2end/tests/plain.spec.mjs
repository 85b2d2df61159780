// The same work without JavaScript: links, forms and reloads.

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server, freePort } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

let server, browser, person, copy, gate, port;
const step = walk(() => ({ server, people: [person] }));

/** A small web service, whose tests pass while the file `open` is there and wait while `wait` is. */
const files = (version) => ({
    'package.json': JSON.stringify({ name: 'bell', private: true, scripts: { start: 'node server.js', test: 'node --test' } }, null, 2),
    'server.js': `require('node:http').createServer((q, a) => a.end('bell ${version}\\n')).listen(process.env.PORT, '127.0.0.1');\n`,
    'bell.test.js': `const { existsSync } = require('node:fs');
const gate = ${JSON.stringify(gate)};
require('node:test')('the bell rings', async () => {
    console.log('listening for the bell');
    while (existsSync(gate + '/wait')) await new Promise((go) => setTimeout(go, 100));
    if (!existsSync(gate + '/open')) throw new Error('the bell is silent');
});
`,
});

before(async () => {
    [server, browser] = await Promise.all([Server.start(), launch()]);
    person = await Person.open(browser, server, { javaScript: false });
    gate = join(server.data, 'gate');
    mkdirSync(gate);
    writeFileSync(join(gate, 'open'), '');
    copy = await WorkingCopy.create(join(server.data, 'bell.git'), files('one'));
});

after(async () => {
    await browser?.close();
    await server?.stop();
    copy?.remove();
});

const heading = (name) => person.page.getByRole('heading', { level: 1, name });
const button = (name) => person.page.getByRole('button', { name });
const runId = () => new URL(person.page.url()).pathname.match(/^\/runs\/([0-9A-Z]{26})$/)?.[1];

async function waitForPill(word) {
    await person.reloadUntil(person.pill(word));
}
async function openService() {
    await person.page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'bell' }).click();
}
/** Starts a run of the newest commit by the button of the service's page. */
async function runNewest() {
    await button('Run the newest commit').click();
    assert.ok(runId(), `a run's page: ${person.page.url()}`);
}
const answer = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();

step('an empty overview says how to begin', async () => {
    await person.logIn();
    await heading('Nothing is connected yet.').waitFor();
    await person.page.getByRole('main').getByRole('link', { name: 'Connect a service' }).first().click();
    await heading('Which repository is it?').waitFor();
    await person.look();
});

step('a repository that is not there is refused in words', async () => {
    person.expects(/\b422\b/);
    await person.page.getByLabel('Repository').fill(join(server.data, 'nothing.git'));
    await button('Look at it').click();
    await person.page.getByRole('alert').waitFor();
    assert.equal(await person.page.getByLabel('Repository').inputValue(), join(server.data, 'nothing.git'), 'what was typed stays');
    person.isContent();
    person.expectsNothing();
});

step('detection proposes and says why; errors stand beside their fields', async () => {
    await person.page.getByLabel('Repository').fill(copy.origin);
    await button('Look at it').click();
    await heading('This is a Node.js service.').waitFor();
    assert.ok((await person.page.getByText(/^Proposed: /).count()) >= 2, 'proposals have reasons');
    const name = person.page.getByLabel('Name', { exact: true });
    assert.equal(await name.inputValue(), 'bell');
    await name.fill('The Bell!');
    await person.page.getByLabel("Production's port").fill('99999999');
    await button('Connect').click();
    for (const label of ['Name', "Production's port"]) {
        const field = person.page.getByLabel(label, { exact: true });
        assert.equal(await field.getAttribute('aria-invalid'), 'true', label);
        const note = person.page.locator(`#${await field.getAttribute('aria-describedby')} .wrong`);
        assert.ok((await note.innerText()).length > 5, label);
    }
    assert.equal(await name.inputValue(), 'The Bell!', 'what was typed stays');
    await name.fill('bell');
    await person.page.getByLabel("Production's port").fill('');
    await person.page.getByLabel('Unit Test').fill('node --test');
    await button('Connect').click();
    assert.ok(runId(), `the first run's page: ${person.page.url()}`);
});

step('the first run is approved', async () => {
    await waitForPill('Waits for approval');
    await person.page.getByLabel('Comment').fill('Rings well');
    await button('Approve').click();
    await waitForPill('Succeeded');
    await person.page.locator('.decided', { hasText: 'Rings well' }).waitFor();
    await person.look();
    await openService();
    await person.look();
    port = Number((await person.page.locator('.place', { hasText: 'Production' }).locator('a.port').textContent()).replace(':', ''));
    assert.equal(await answer(), 'bell one\n');
});

step('a push is rejected', async () => {
    const commit = await copy.push('Ring twice', files('two'));
    const link = person.page.getByRole('link', { name: 'Ring twice' });
    await person.reloadUntil(link);
    await link.first().click();
    await waitForPill('Waits for approval');
    assert.ok((await person.page.getByText(commit.slice(0, 7)).count()) > 0);
    await person.page.getByLabel('Comment').fill('Too loud');
    await button('Reject').click();
    await person.reloadUntil(person.page.locator('.decided', { hasText: 'Rejected' }).filter({ hasText: 'Too loud' }));
    assert.equal(await answer(), 'bell one\n', 'nothing was deployed');
});

step('a run is cancelled while a test hangs', async () => {
    await openService();
    writeFileSync(join(gate, 'wait'), '');
    await runNewest();
    await person.reloadUntil(person.page.locator('.ln', { hasText: 'listening for the bell' }), { path: `/runs/${runId()}?stage=unit_test` });
    await button('Cancel run').click();
    await waitForPill('Cancelled');
    rmSync(join(gate, 'wait'));
});

step('a failed run goes on from its failed stage', async () => {
    rmSync(join(gate, 'open'));
    await openService();
    await runNewest();
    await waitForPill('Failed');
    assert.match(await person.page.locator('.trouble').innerText(), /Unit Test|the bell/);
    await person.page.locator('.ln', { hasText: 'the bell is silent' }).first().waitFor();
    writeFileSync(join(gate, 'open'), '');
    const failed = runId();
    await button('Rerun from Unit Test').click();
    assert.notEqual(runId(), failed, 'a run of its own');
    await waitForPill('Waits for approval');
    await button('Approve').click();
    await waitForPill('Succeeded');
    assert.equal(await answer(), 'bell two\n');
});

step('a rollback brings back what ran, and holds', async () => {
    await openService();
    await button(/^Roll back production to /).first().click();
    await waitForPill('Rolled back');
    assert.equal(await answer(), 'bell one\n');
    await openService();
    await person.page.getByRole('region', { name: 'Hold' }).getByText('On hold').waitFor();
    await button('Resume').click();
    await person.page.getByText('Hold automatic deploys').click();
    await person.page.getByLabel('Reason').fill('Freeze for the feast');
    await button('Hold').click();
    await person.page.getByText('Freeze for the feast').waitFor();
    await button('Resume').click();
    assert.equal(await person.page.getByText('Freeze for the feast').count(), 0);
});

step('a log is searched and downloaded', async () => {
    await person.goto('/runs');
    await person.page.getByRole('link', { name: 'Ring twice' }).first().click();
    await person.goto(`/runs/${runId()}?stage=unit_test`);
    const search = person.page.getByRole('searchbox', { name: 'Search this log' });
    await search.fill('bell');
    await search.press('Enter');
    await person.page.getByText(/lines? with “bell”/).waitFor();
    await person.look();
    const href = await person.page.getByRole('link', { name: 'Download' }).getAttribute('href');
    const text = await (await person.context.request.get(`${server.url}${href}`)).text();
    assert.match(text, /listening for the bell/);
});

step('settings are changed, refused and kept', async () => {
    await openService();
    await person.page.getByRole('main').getByRole('link', { name: 'Settings' }).click();
    await heading('Settings of bell').waitFor();
    await person.look();
    await person.page.getByLabel('Variables', { exact: true }).fill('1BAD=x');
    await button('Save').click();
    assert.ok((await person.page.locator('.wrong').count()) > 0, 'the bad name is told');
    await person.page.getByLabel('Variables', { exact: true }).fill('TONE=low');
    await person.page.getByLabel('Secrets', { exact: true }).fill('BELL_KEY=quite-a-secret');
    await button('Save').click();
    await person.page.getByText('Saved.').waitFor();
    const page = await person.page.content();
    assert.ok(page.includes('TONE=low') && page.includes('BELL_KEY') && !page.includes('quite-a-secret'), 'a secret is never shown again');
    await person.page.locator('section.end').getByLabel('Its name').fill('not the bell');
    await button('Delete').click();
    await heading('Settings of bell').waitFor();
    assert.ok((await person.page.locator('.wrong').count()) > 0, 'a slip deletes nothing');
});

step('containers are out of sight until they are chosen, and refused in words where there is no daemon', async () => {
    await openService();
    await person.page.getByText('runs as processes of this machine').waitFor();
    await person.page.getByRole('main').getByRole('link', { name: 'Settings' }).click();
    const box = person.page.getByRole('group', { name: 'Its containers' });
    assert.equal(await box.isVisible(), false);
    await person.page.getByLabel('In containers').check();
    await box.waitFor();
    await person.look();
    const production = box.getByRole('group', { name: 'Production' });
    await box.getByLabel('Dockerfile').fill('docker/bell.Dockerfile');
    await box.getByLabel('Build secrets').fill('NOBODY');
    await production.getByLabel('Memory').fill('plenty');
    await production.getByLabel('Cores').fill('0.5');
    await production.getByLabel('Started again').selectOption('on_failure');
    await button('Save').click();
    const told = async (field) => {
        assert.equal(await field.getAttribute('aria-invalid'), 'true');
        return person.page.locator(`#${await field.getAttribute('aria-describedby')} .wrong`).innerText();
    };
    assert.match(await told(production.getByLabel('Memory')), /512 MiB/);
    assert.match(await told(box.getByLabel('Build secrets')), /NOBODY/);
    await person.look();
    await box.getByLabel('Build secrets').fill('BELL_KEY');
    await production.getByLabel('Memory').fill('1 GiB');
    await button('Save').click();
    assert.match(await told(person.page.getByRole('radiogroup', { name: 'How it runs' })), /containers cannot be used yet/);
    await person.page.getByLabel('As processes of this machine').check();
    await button('Save').click();
    await person.page.getByText('Saved.').waitFor();
    assert.equal(await box.isVisible(), false);
    await person.page.getByLabel('In containers').check();
    const kept = [box.getByLabel('Dockerfile'), production.getByLabel('Memory'), production.getByLabel('Cores'), production.getByLabel('Started again')];
    assert.deepEqual(await Promise.all(kept.map((field) => field.inputValue())), ['docker/bell.Dockerfile', '1 GiB', '0.5', 'on_failure']);
});

step('what is wrong around the server is told on every page while it lasts', async () => {
    const alone = await Server.start({ environment: { REDIS_URL: `redis://127.0.0.1:${await freePort()}` } });
    const visitor = await Person.open(browser, alone, { javaScript: false });
    try {
        await visitor.logIn();
        const notice = visitor.page.getByRole('status').getByText(/^Redis .* go on; everything is read from the database/);
        for (const path of ['/', '/runs']) {
            await visitor.goto(path);
            await visitor.reloadUntil(notice);
            await visitor.look();
        }
        await visitor.picture('redis away');
        assert.equal(await person.page.getByRole('status').getByText('Redis').count(), 0);
    } finally {
        await visitor.context.close();
        await alone.stop();
    }
});

step('what a pipeline keeps is set and shown', async () => {
    await person.goto('/settings');
    const fields = ['Days for logs', 'Megabytes for all logs', 'Days for runs'].map((label) => person.page.getByLabel(label));
    const values = () => Promise.all(fields.map((field) => field.inputValue()));
    assert.deepEqual(await values(), ['90', '', '']);
    await fields[0].fill('14');
    await fields[1].fill('500');
    await button('Save').click();
    assert.equal(new URL(person.page.url()).pathname, '/settings');
    assert.deepEqual(await values(), ['14', '500', '']);
});

step('signing out ends the session', async () => {
    for (const path of ['/', '/runs', '/approvals', '/deliveries', '/settings/notifications', '/settings']) {
        await person.goto(path);
        await person.look();
    }
    await button('Dark').click();
    assert.equal(await person.page.locator('html').getAttribute('data-theme'), 'dark', 'the choice is in the page itself');
    await button('Log out').click();
    assert.equal(new URL(person.page.url()).pathname, '/login');
    await person.goto('/');
    assert.equal(new URL(person.page.url()).pathname, '/login');
});

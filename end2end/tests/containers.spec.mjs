// The demo in containers, from push to production and back, watched in a browser: images built, tested together by Compose,
// deployed, switched and rolled back by digest.
//
// It needs a Docker daemon with the demo's base image (`make setup` makes it); without one it is skipped by its name.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { join } from 'node:path';

import { Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server } from '../support/server.mjs';
import { steadily } from '../support/steady.mjs';
import { walk } from '../support/walk.mjs';

const FIRST = 'Good tea, fairly priced.';
const SECOND = 'Better tea, still fairly priced.';

const docker = (...args) => execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
let missing = false;
try {
    docker('image', 'inspect', 'seamless/demo-base');
} catch {
    missing = 'no Docker daemon with the image seamless/demo-base';
}

let server, browser, person, shop, port, earlier;
const step = missing ? (name) => test(name, { skip: missing }, () => {}) : walk(() => ({ server, people: [person] }));
/** What is on this machine of everything Seamless makes. */
const containers = (...filters) => docker('ps', '--all', '--quiet', ...filters.flatMap((f) => ['--filter', f])).split('\n').filter(Boolean);

before(async () => {
    if (missing) return;
    earlier = new Set(containers('label=seamless.instance'));
    [server, browser] = await Promise.all([Server.start({ demo: true, docker: true }), launch()]);
    person = await Person.open(browser, server);
});

after(async () => {
    await browser?.close();
    // What is deployed outlives its server, so it is told to go.
    for (const service of server ? (await server.api('/services')).items : []) await server.api(`/services/${service.id}`, { method: 'DELETE' });
    const left = missing ? [] : containers('label=seamless.instance').filter((id) => !earlier.has(id));
    await server?.stop();
    shop?.remove();
    assert.deepEqual(left, [], 'containers are left');
});

const page = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
const runs = async () => (await server.api('/runs')).items.filter((run) => run.service.name === 'shop');
async function open(number) {
    let run;
    while (!run) run = (await runs()).find((one) => one.number === number);
    await person.goto(`/runs/${run.id}`);
    return run;
}

step('three services are built, tested together and deployed as containers', async () => {
    await person.logIn();
    await person.row('catalog').getByText('Live', { exact: true }).waitFor();
    await person.row('pricing').getByText('Live', { exact: true }).waitFor();
    await person.row('shop').getByText('Approve', { exact: true }).waitFor();
    for (const service of (await server.api('/services')).items) assert.equal(service.environments.production.target, 'docker');
    await person.look();
}, { timeout: 300_000 });

step("the shop's first version is approved and answers", async () => {
    await open(1);
    await person.page.getByRole('button', { name: 'Approve' }).click();
    await person.pill('Succeeded').waitFor();
    port = (await server.api('/environments')).items.find((row) => row.service.name === 'shop').production.port;
    assert.match(await page(), new RegExp(FIRST));
    await person.look();
});

step('a push goes through image, test and staging', async () => {
    shop = await WorkingCopy.clone(join(server.data, 'demo/shop.git'));
    const header = readFileSync(join(shop.folder, 'shop.h'), 'utf8');
    await shop.push('Greet better', { 'shop.h': header.replace(/#define GREETING ".*"/, `#define GREETING "${SECOND}"`) });
    const { id } = await open(2);
    await person.page.getByRole('heading', { name: 'Waits for approval' }).waitFor();
    const run = await server.api(`/runs/${id}`);
    assert.match(run.artifact.digest, /sha256:[0-9a-f]{64}$/, 'an image, by digest');
    const node = (name) => person.page.locator('.graph a').filter({ hasText: name });
    await node('Integration Test').click();
    await person.page.locator('.lines .ln', { hasText: 'catalog | ' }).first().waitFor();
    await person.look();
    assert.deepEqual(containers('label=seamless.attempt').filter((one) => !earlier.has(one)), [], 'the test is taken down');
});

step('it takes over without a failed request', async () => {
    const watch = steadily(`http://127.0.0.1:${port}/health`);
    await person.page.getByRole('button', { name: 'Approve' }).click();
    await person.pill('Succeeded').waitFor();
    const { asked, failed } = await watch.end();
    assert.deepEqual(failed, [], `of ${asked} requests`);
    assert.match(await page(), new RegExp(SECOND));
});

step('one click rolls back to the kept container', async () => {
    await person.page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'shop' }).click();
    const watch = steadily(`http://127.0.0.1:${port}/health`);
    await person.page.getByRole('button', { name: /^Roll back production to / }).click();
    await person.pill('Rolled back').waitFor();
    const { asked, failed } = await watch.end();
    assert.deepEqual(failed, [], `of ${asked} requests`);
    assert.match(await page(), new RegExp(FIRST));
    await person.page.locator('.lines .ln', { hasText: 'Starting the kept container' }).waitFor();
    await person.look();
});

step('a container that was stopped by hand is shown', async () => {
    const instance = docker('ps', '--filter', 'label=seamless.service=shop', '--filter', 'label=seamless.environment=production', '--format', '{{.ID}} {{.CreatedAt}}')
        .split('\n').map((line) => line.split(' ')[0]).filter((id) => !earlier.has(id));
    assert.equal(instance.length, 1, 'one container serves');
    docker('stop', '--time', '2', instance[0]);
    await person.goto('/');
    await person.reloadUntil(person.row('shop').getByText(/drifted|stopped/));
    await person.look();
});

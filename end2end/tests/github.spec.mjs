// Every example payload that GitHub's own users collected (`@octokit/webhooks-examples`), signed and sent to the real server: each is
// accepted or ignored with a reason, and none of them is too much for it. Then the inbox that shows them.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { serveRepository } from '../support/dumb.mjs';
import { Person, launch } from '../support/person.mjs';
import { WorkingCopy } from '../support/repository.mjs';
import { Server } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

const examples = createRequire(import.meta.url)('@octokit/webhooks-examples');
const secret = 'a secret that the app was given';
const repository = 'Codertocat/Hello-World';

let server, browser, person, copy, site;
const step = walk(() => ({ server, people: [person] }));

before(async () => {
    const folder = join(process.env.TMPDIR ?? '/tmp', `seamless-hello-${process.pid}.git`);
    copy = await WorkingCopy.create(folder, { 'README.md': 'Hello\n' });
    site = await serveRepository(folder, repository);
    const environment = { GITHUB_URL: site.url, GITHUB_WEBHOOK_SECRET: secret };
    [server, browser] = await Promise.all([Server.start({ environment }), launch()]);
    person = await Person.open(browser, server, { javaScript: false });
});

after(async () => {
    await browser?.close();
    await server?.stop();
    site?.stop();
    copy?.remove();
});

function send(guid, event, payload) {
    const body = JSON.stringify(payload);
    const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
    const headers = {
        'content-type': 'application/json',
        'x-github-event': event,
        'x-github-delivery': guid,
        'x-hub-signature-256': signature,
    };
    return fetch(`${server.url}/hooks/github`, { method: 'POST', headers, body });
}

async function all() {
    const found = [];
    for (let before = ''; before !== null; ) {
        const page = await server.api(`/deliveries?limit=200${before && `&before=${before}`}`);
        found.push(...page.items);
        before = page.next;
    }
    return found;
}

step('all of them have a verdict and a reason', async () => {
    await server.api('/services', {
        method: 'POST',
        body: { name: 'hello', repository, branch: 'master-of-none', triggers: { push: true } },
    }).catch(() => {}); // that branch is not there: nothing is connected yet
    await server.api('/services', { method: 'POST', body: { name: 'hello', repository, branch: 'main' } });
    let count = 0;
    const events = new Map();
    for (const { name, examples: payloads } of examples) {
        for (const payload of payloads) {
            const guid = `example-${count++}`;
            events.set(guid, { name, payload });
            const answer = await send(guid, name, payload);
            assert.equal(answer.status, 202, `${name}: ${await answer.text()}`);
        }
    }
    assert.equal(count, 329);
    let deliveries;
    do {
        await new Promise((go) => setTimeout(go, 100));
        deliveries = (await all()).filter((d) => d.source === 'github');
    } while (deliveries.some((d) => d.verdict === 'pending'));
    assert.equal(deliveries.length, count);
    const started = new Set();
    for (const delivery of deliveries) {
        const { name, payload } = events.get(delivery.guid);
        const said = `${name} ${payload.action ?? ''}`.trim();
        if (delivery.run) started.add(said);
        else assert.ok(delivery.reason, said);
        assert.ok(!/lacks|is not what GitHub sends/.test(delivery.reason ?? ''), `${said}: ${delivery.reason}`);
    }
    // What is not the service's is ignored; what is, runs or waits.
    const runs = [...started].sort();
    assert.deepEqual(runs, ['pull_request opened', 'pull_request ready_for_review', 'pull_request reopened', 'pull_request synchronize']);
    const pushes = deliveries.filter((d) => d.event === 'push').map((d) => d.reason);
    assert.ok(pushes.some((why) => /refs\/tags\/\S+ was deleted/.test(why)), pushes.join('\n'));
    const ping = deliveries.filter((d) => d.event === 'ping');
    assert.ok(ping.length > 0 && ping.every((d) => /the hook works/.test(d.reason)));
});

step('the inbox shows them without JavaScript, and replays one', async () => {
    await person.logIn();
    await person.page.goto(`${server.url}/deliveries`);
    const rows = person.page.locator('ol.inbox > li');
    assert.ok((await rows.count()) >= 20);
    const first = rows.first();
    await first.locator('summary').click();
    const shown = await first.locator('pre').textContent();
    assert.ok(shown.trim().startsWith('{'), shown.slice(0, 100));
    const before = (await all()).length;
    await first.getByRole('button', { name: 'Replay' }).click();
    assert.equal((await all()).length, before + 1);
});

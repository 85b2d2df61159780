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

step('forged in any way, none of them is taken, and nothing of it is stored', async () => {
    const [before, key] = [(await all()).length, await server.command('hook-secret', 'hello')];
    const forge = async (name, body, signature) => {
        const headers = { 'content-type': 'application/json', 'x-github-event': name, 'x-github-delivery': 'forged', ...signature };
        const { status } = await fetch(`${server.url}/hooks/github`, { method: 'POST', headers, body });
        return status;
    };
    const signed = (key, body) => ({ 'x-hub-signature-256': `sha256=${createHmac('sha256', key).update(body).digest('hex')}` });
    let count = 0;
    for (const { name, examples: payloads } of examples) {
        for (const payload of payloads) {
            const body = JSON.stringify(payload);
            const right = signed(secret, body);
            const wrong = { 'x-hub-signature-256': right['x-hub-signature-256'].replace(/.$/, (last) => (last === '0' ? '1' : '0')) };
            const changed = body.replace(/[a-z](?=[^a-z]*$)/, (letter) => (letter === 'a' ? 'b' : 'a'));
            assert.notEqual(changed, body);
            const answers = await Promise.all([
                forge(name, body, {}),
                forge(name, body, wrong),
                forge(name, body, signed('the secret of another hook', body)),
                forge(name, body.slice(0, -1), right),
                forge(name, changed, right),
            ]);
            assert.deepEqual(answers, [401, 401, 401, 401, 401], name);
            count += answers.length;
        }
    }
    // The key of a service is for its own repository's deliveries.
    const foreign = JSON.stringify({ repository: { full_name: 'acme/another' } });
    assert.equal(await forge('push', foreign, signed(key, foreign)), 401);
    assert.equal((await all()).length, before);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const refused = [...metrics.matchAll(/^seamless_hooks_refused_total\{why="(?:forged|unsigned)"\} (\d+)$/gm)];
    assert.equal(refused.reduce((sum, [, n]) => sum + Number(n), 0), count + 1);
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

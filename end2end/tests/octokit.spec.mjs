// What Seamless says to GitHub, held against GitHub's own description of its API (`@octokit/openapi`): Prism checks each request's path,
// query, headers and body, and answers with the description's examples. What it leaves unproven: that GitHub does as its description says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { after, before } from 'node:test';
import { join, resolve } from 'node:path';

import { serveRepository } from '../support/dumb.mjs';
import { Person, launch } from '../support/person.mjs';
import { WorkingCopy, git } from '../support/repository.mjs';
import { Server, freePort } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

const description = resolve(import.meta.dirname, '../node_modules/@octokit/openapi/generated/api.github.com.json');
const key = resolve(import.meta.dirname, '../../server/testkit/fixtures/github-app.pem');
const [secret, name] = ['a secret of the hooks', 'acme/hello'];
// Everything that is asked for; the description's other paths are left out, which makes it quick to read.
const used = [
    '/user/repos', '/app/installations', '/app/installations/{installation_id}/access_tokens', '/installation/repositories',
    ...['installation', 'hooks', 'hooks/{hook_id}', 'hooks/{hook_id}/deliveries', 'hooks/{hook_id}/deliveries/{delivery_id}/attempts',
        'git/ref/{ref}', 'statuses/{sha}', 'issues/{issue_number}/comments', 'issues/comments/{comment_id}', 'deployments',
        'deployments/{deployment_id}/statuses', 'pulls/{pull_number}/merge'].map((path) => `/repos/{owner}/{repo}/${path}`),
];

let folder, prism, api, server, app, browser, person, copy, site;
const asked = [];
const step = walk(() => ({ server, people: [person] }));

before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'seamless-octokit-'));
    const whole = JSON.parse(readFileSync(description));
    const paths = Object.fromEntries(used.map((path) => [path, whole.paths[path]]));
    assert.ok(used.every((path) => paths[path]), used.filter((path) => !paths[path]).join());
    const file = join(folder, 'api.json');
    writeFileSync(file, JSON.stringify({ ...whole, paths }));
    const port = await freePort();
    const program = resolve(import.meta.dirname, '../node_modules/.bin/prism');
    prism = spawn(program, ['mock', '--errors', '--port', port, file], { stdio: 'ignore' });
    api = createServer(async (request, answer) => {
        const body = [];
        for await (const part of request) body.push(part);
        // Two things that Prism cannot know: GitHub's own media type is JSON, and a ref is one parameter with slashes in it.
        assert.equal(request.headers.accept, 'application/vnd.github+json');
        const headers = { accept: 'application/json' };
        for (const name of ['content-type', 'authorization', 'if-none-match', 'x-github-api-version']) {
            if (request.headers[name]) headers[name] = request.headers[name];
        }
        const path = request.url.replace(/(?<=\/git\/ref\/)[^?]+/, encodeURIComponent);
        const init = { method: request.method, headers, body: body.length > 0 ? Buffer.concat(body) : undefined };
        const said = await fetch(`http://127.0.0.1:${port}${path}`, init);
        const text = await said.text();
        asked.push({ call: `${request.method} ${request.url.split('?')[0]}`, status: said.status, text, sent: Buffer.concat(body).toString() });
        answer.writeHead(said.status, { 'content-type': 'application/json' }).end(text);
    });
    await new Promise((done) => api.listen(0, '127.0.0.1', done));
    const bare = join(folder, 'hello.git');
    copy = await WorkingCopy.create(bare, { 'README.md': 'Hello\n' });
    site = await serveRepository(bare, name);
    for (;;) {
        const ready = await fetch(`http://127.0.0.1:${port}/app/installations`).catch(() => null);
        if (ready) break;
        assert.equal(prism.exitCode, null, 'Prism ended');
        await new Promise((go) => setTimeout(go, 100));
    }
    const github = { GITHUB_URL: site.url, GITHUB_API_URL: `http://127.0.0.1:${api.address().port}`, GITHUB_WEBHOOK_SECRET: secret };
    [server, app, browser] = await Promise.all([
        Server.start({ environment: { ...github, GITHUB_TOKEN: 'ghp_example' } }),
        Server.start({ environment: { ...github, GITHUB_APP_ID: '4711', GITHUB_APP_PRIVATE_KEY_FILE: key } }),
        launch(),
    ]);
    person = await Person.open(browser, server, { javaScript: false });
});

after(async () => {
    await browser?.close();
    await Promise.all([server?.stop(), app?.stop()]);
    prism?.kill();
    api?.close();
    site?.stop();
    copy?.remove();
    rmSync(folder, { recursive: true, force: true });
});

/** Waits until something was asked for so often. */
async function asks(call, times = 1) {
    const of = () => asked.filter((one) => call.test(one.call));
    for (const end = Date.now() + 30_000; of().length < times; ) {
        assert.ok(Date.now() < end, `nobody asks for ${call}: ${asked.map((one) => `${one.status} ${one.call}`).join('\n')}`);
        await new Promise((go) => setTimeout(go, 50));
    }
    return of();
}

const start = 'exec node -e "require(\'http\').createServer((q, a) => a.end()).listen(process.env.PORT, \'127.0.0.1\')"';
const settings = {
    name: 'hello', repository: name, branch: 'main', auto_deploy: true, auto_merge: true,
    commands: { unit_test: 'true', start }, github: { statuses: true, comment: true, deployments: true },
};

step('a hook, statuses and deployments', async () => {
    const service = await server.api('/services', { method: 'POST', body: settings });
    await asks(/^POST .*\/hooks$/);
    await server.api(`/services/${service.id}/runs`, { method: 'POST', body: {} });
    await asks(/^POST .*\/deployments$/, 2);
    await asks(/^POST .*\/deployments\/\d+\/statuses$/, 4);
    await asks(/^POST .*\/statuses\/[0-9a-f]{40}$/, 5);
});

step('a comment that is kept up to date, and a merge', async () => {
    const bare = join(folder, 'hello.git');
    const sha = (await git(bare, 'rev-parse', 'main')).trim();
    await git(bare, 'update-ref', 'refs/pull/7/head', sha);
    await git(bare, 'update-server-info');
    const body = JSON.stringify({
        action: 'opened', number: 7, repository: { full_name: name }, sender: { login: 'ada' },
        pull_request: { number: 7, draft: false, head: { sha, repo: { full_name: name } }, base: { sha } },
    });
    const headers = {
        'content-type': 'application/json', 'x-github-event': 'pull_request', 'x-github-delivery': 'octokit-1',
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    };
    assert.equal((await fetch(`${server.url}/hooks/github`, { method: 'POST', headers, body })).status, 202);
    await asks(/^POST .*\/issues\/7\/comments$/);
    await asks(/^PATCH .*\/issues\/comments\/\d+$/);
    const [merge] = await asks(/^PUT .*\/pulls\/7\/merge$/);
    assert.equal(JSON.parse(merge.sent).sha, sha);
});

step('the hook is looked at, mended and removed; the list of repositories', async () => {
    await server.kill();
    await server.launch();
    await asks(/^GET .*\/hooks\/\d+$/);
    // The example's hook sends elsewhere: somebody changed it.
    await asks(/^PATCH .*\/hooks\/\d+$/);
    await asks(/^GET .*\/hooks\/\d+\/deliveries$/);
    await person.logIn();
    await person.page.goto(`${server.url}/services/new`);
    await asks(/^GET \/user\/repos$/);
    const { items } = await server.api('/services');
    await server.api(`/services/${items[0].id}`, { method: 'DELETE' });
    await asks(/^DELETE .*\/hooks\/\d+$/);
});

step('an app asks for its tokens', async () => {
    await app.api('/services', { method: 'POST', body: { name: 'hello', repository: name, branch: 'main' } });
    await asks(/^GET .*\/installation$/);
    await asks(/^POST \/app\/installations\/\d+\/access_tokens$/, 2);
});

step('nothing that was said is anything but as GitHub describes it', () => {
    const wrong = asked.filter((one) => one.status >= 400);
    assert.deepEqual(wrong.map((one) => `${one.status} ${one.call} ${one.sent}: ${one.text}`), []);
    assert.ok(asked.length > 30, `${asked.length}`);
});

step('what is not as described is refused', async () => {
    // Prism would say so: otherwise the step before would prove nothing.
    const at = `http://127.0.0.1:${api.address().port}/repos/${name}/statuses/${'a'.repeat(40)}`;
    const headers = { accept: 'application/vnd.github+json', 'content-type': 'application/json' };
    const bogus = await fetch(at, { method: 'POST', headers, body: '{"state":"splendid"}' });
    assert.equal(bogus.status, 422);
});

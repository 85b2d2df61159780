// Logging in with GitHub, in a real browser: against `emulate`, and where that does not look (PKCE), against a stand-in of ours.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { after, before } from 'node:test';
import { join } from 'node:path';

import { APP, emulate, settings, standIn } from '../support/github.mjs';
import { NARROW, Person, launch } from '../support/person.mjs';
import { Server } from '../support/server.mjs';
import { walk } from '../support/walk.mjs';

let server, browser, github, ours, teamed;
const people = [];
const step = walk(() => ({ server, people }));

before(async () => {
    [github, browser] = await Promise.all([emulate(), launch()]);
    server = await Server.start({ environment: settings(github.url) });
    await github.start(server.data, `${server.url}/login/github/callback`, ['alice', 'bob', 'carol']);
});

after(async () => {
    await browser?.close();
    await server?.stop();
    await teamed?.stop();
    github?.stop();
    ours?.stop();
});

async function open(at = server, options = {}) {
    const person = await Person.open(browser, at, { javaScript: false, ...options });
    people.push(person);
    return person;
}

const path = (person) => new URL(person.page.url()).pathname;
const said = (person) => person.page.getByRole('alert').textContent();
const cookie = async (person, name) => (await person.context.cookies()).find((c) => c.name === name);

/** To GitHub as somebody, and back. */
async function logIn(person, login, { code, from = '/login' } = {}) {
    await person.page.goto(`${person.server.url}${from}`);
    if (code) await person.page.getByLabel('Set-up code').fill(code);
    await person.page.getByRole('button', { name: 'Log in with GitHub' }).click();
    if (login) await person.page.getByRole('button', { name: login }).click();
    await person.page.waitForURL((url) => url.origin === person.server.url);
}

let alice, bob;

step('the login page says what is asked for and why, and nobody gets in before there is an owner', async () => {
    alice = await open();
    await alice.goto('/settings');
    assert.equal(path(alice), '/login');
    await alice.page.getByText('No right to any repository').waitFor();
    await alice.look();
    await logIn(alice, 'alice');
    assert.match(await said(alice), /Nobody owns this Seamless yet\. alice becomes its owner with the set-up code/);
    await logIn(alice, null, { code: 'guessed' }).catch(() => {});
    assert.match(await said(alice), /set-up code is wrong/);
});

step('the set-up code makes an owner, with a new session, on the page that was asked for', async () => {
    await alice.context.addCookies([{ name: 'seamless_session', value: 'planted', url: server.url }]);
    await logIn(alice, 'alice', { code: server.link.split('/').at(-1), from: '/login?next=%2Fsettings' });
    assert.equal(path(alice), '/settings');
    const session = await cookie(alice, 'seamless_session');
    assert.notEqual(session.value, 'planted');
    assert.deepEqual([session.httpOnly, session.sameSite, await cookie(alice, 'seamless_login')], [true, 'Lax', undefined]);
    await alice.page.locator('#members li', { hasText: 'alice' }).getByText('you', { exact: true }).waitFor();
    await alice.look();
    // The code was for once.
    const again = await fetch(server.link, { redirect: 'manual' });
    assert.match(again.headers.get('location'), /said=link/);
});

step('whoever is on no list is told what to do; invited, they are in, and may what their role may', async () => {
    bob = await open(server, { viewport: NARROW });
    await logIn(bob, 'bob');
    assert.match(await said(bob), /bob may not in here\. Ask an owner to invite you/);
    await bob.look();
    await alice.page.getByLabel('Invite by GitHub name').fill('Bob');
    await alice.page.getByRole('combobox', { name: 'Role', exact: true }).selectOption('viewer');
    await alice.page.getByRole('button', { name: 'Invite' }).click();
    await alice.page.locator('#members li', { hasText: 'invited by alice' }).waitFor();
    await logIn(bob, 'bob');
    assert.equal(path(bob), '/');
    await bob.goto('/settings');
    assert.equal(await bob.page.locator('#members').count(), 0);
    const { value } = await cookie(bob, 'seamless_session');
    const post = (fn, body) => fetch(`${server.url}/fn/${fn}`, { method: 'POST', body: new URLSearchParams(body), headers: { cookie: `seamless_session=${value}` } });
    assert.equal((await post('invite', { login: 'carol', role: 'owner' })).status, 403);
    // The only owner stays one.
    const self = alice.page.locator('#members li', { hasText: 'came with the set-up code' });
    await self.getByRole('button', { name: 'Remove alice' }).click();
    assert.match(await said(alice), /only owner is alice/);
});

step('a wrong state, an answer used twice, a foreign callback and a form of another site are refused', async () => {
    const { origin } = new URL(server.url);
    const begin = async (headers = {}) => {
        const answer = await fetch(`${server.url}/login/github`, { method: 'POST', body: new URLSearchParams({ next: '//evil.example' }), redirect: 'manual', headers });
        return { answer, to: answer.headers.get('location'), begun: answer.headers.get('set-cookie')?.split(';')[0] };
    };
    const { to, begun } = await begin();
    const asked = new URL(to).searchParams;
    assert.deepEqual(
        [asked.get('redirect_uri'), asked.get('code_challenge_method'), asked.get('scope')],
        [`${origin}/login/github/callback`, 'S256', null],
    );
    const back = async (query, jar) => {
        const answer = await fetch(`${server.url}/login/github/callback?${new URLSearchParams(query)}`, { redirect: 'manual', headers: jar ? { cookie: jar } : {} });
        return answer.headers.get('location');
    };
    // Another browser, another state, no cookie.
    for (const [state, jar] of [['wrong', begun], [asked.get('state'), undefined], [asked.get('state'), 'seamless_login=made-up'], ['', begun]]) {
        assert.equal(await back({ code: 'x', state }, jar), '/login?said=begin');
    }
    await bob.page.goto(`${server.url}/login/github/callback?code=x&state=wrong`);
    assert.match(await said(bob), /not begun in this browser/);
    assert.equal(await back({ error: 'access_denied', state: asked.get('state') }, begun), '/login?said=declined');

    // GitHub's answer, kept by somebody who saw it.
    const chosen = new URLSearchParams({ login: 'bob', redirect_uri: asked.get('redirect_uri'), scope: '', state: asked.get('state'), client_id: APP.GITHUB_CLIENT_ID });
    const given = await fetch(`${github.url}/login/oauth/callback`, { method: 'POST', body: chosen, redirect: 'manual' });
    const answer = Object.fromEntries(new URL(given.headers.get('location')).searchParams);
    assert.equal(await back(answer, begun), '/', 'and not to evil.example');
    assert.equal(await back(answer, begun), '/login?said=spent');
    // With a login of its own it is GitHub that refuses a code the second time.
    const other = await begin();
    assert.equal(await back({ code: answer.code, state: new URL(other.to).searchParams.get('state') }, other.begun), '/login?said=spent');

    // Where GitHub sends people back to is settled by the settings; GitHub refuses anything else.
    const lured = await begin({ host: 'evil.example', 'x-forwarded-host': 'evil.example' });
    assert.equal(new URL(lured.to).searchParams.get('redirect_uri'), asked.get('redirect_uri'));
    const foreign = new URL(to);
    foreign.searchParams.set('redirect_uri', 'https://evil.example/login/github/callback');
    assert.equal((await fetch(foreign)).status, 400);

    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' }]) {
        assert.equal((await begin(headers)).answer.status, 403);
    }
});

step('a token is made without JavaScript, shown once, works for its role, and is revoked', async () => {
    await alice.goto('/settings');
    const part = alice.page.locator('#tokens');
    await part.getByLabel('What the token is for').fill('nightly report');
    await part.getByRole('combobox', { name: 'Ends after' }).selectOption('7');
    await part.getByRole('button', { name: 'Make a token' }).click();
    await part.getByText('it is not shown again').waitFor();
    assert.equal(alice.page.url(), `${server.url}/settings#tokens`);
    const token = await part.locator('pre.whole').textContent();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const call = (method, path, body) => fetch(`${server.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    assert.equal((await call('GET', '/services')).status, 200);
    assert.equal((await call('POST', '/pipelines', { name: 'Mine' })).status, 403);
    await alice.look();
    await alice.page.reload();
    assert.equal(await part.locator('pre.whole').count(), 0);
    await part.locator('li', { hasText: 'nightly report' }).getByText(/viewer/).waitFor();
    await part.locator('li', { hasText: /used (now|\d+ s ago)/ }).waitFor();
    await part.getByRole('button', { name: 'Revoke nightly report' }).click();
    assert.equal(await part.locator('li', { hasText: 'nightly report' }).count(), 0);
    assert.equal((await call('GET', '/services')).status, 401);
    await bob.goto('/settings');
    const roles = bob.page.locator('#tokens').getByRole('combobox', { name: 'It may act as' }).locator('option');
    assert.deepEqual(await roles.allTextContents(), ['viewer'], 'nobody hands on what they have not');
});

step('pages cannot be framed, and run nothing that is not theirs', async () => {
    const { value } = await cookie(alice, 'seamless_session');
    for (const at of ['/login', '/settings', '/runs/nothing', '/logout', '/badge/x.svg', '/api/v1/runs', '/healthz', '/fn/nav']) {
        const { headers } = await fetch(`${server.url}${at}`, { redirect: 'manual', headers: { cookie: `seamless_session=${value}` } });
        const rules = headers.get('content-security-policy');
        assert.match(rules, /frame-ancestors 'none'/, at);
        assert.match(rules, /default-src '(self|none)'/, at);
        assert.doesNotMatch(rules, /script-src[^;]*('unsafe-inline'|'unsafe-eval'|\*)/, at);
        const all = ['x-frame-options', 'x-content-type-options', 'cross-origin-opener-policy'].map((name) => headers.get(name));
        assert.deepEqual(all, ['DENY', 'nosniff', 'same-origin'], at);
        assert.ok(headers.get('referrer-policy'), at);
    }
    // A page of another site, in a real browser: neither its frame shows anything nor does its form act.
    const eve = await open(server, { like: alice, javaScript: true });
    eve.expects(/./);
    await eve.context.route('http://evil.example/**', (route) => route.fulfill({
        contentType: 'text/html',
        body: `<iframe src="${server.url}/settings"></iframe><form method="post" action="${server.url}/fn/set_theme"><input name="theme" value="dark"><button>Win</button></form>`,
    }));
    await eve.page.goto('http://evil.example/');
    // What stands there is the browser's own page, which says that it was refused.
    assert.match(eve.page.frames()[1].url(), /^chrome-error:/);
    await eve.page.getByRole('button', { name: 'Win' }).click();
    await eve.page.waitForURL(/set_theme|login/);
    assert.equal(await cookie(eve, 'theme'), undefined);
    eve.page.removeAllListeners();
    await eve.context.close();
    people.splice(people.indexOf(eve), 1);
});

step('a login that is taken back at GitHub ends here', async () => {
    await logIn(bob, 'bob');
    assert.equal(path(bob), '/');
    // As bob, at GitHub.
    await bob.page.goto(`${github.url}/settings/applications`);
    const revoked = await bob.context.request.post(`${github.url}/settings/connections/applications/${APP.GITHUB_CLIENT_ID}/revoke`, { maxRedirects: 0 });
    assert.equal(revoked.status(), 302);
    // It is looked at every five minutes, and at the start. `emulate` lets a token that is gone speak for its first user; that GitHub
    // knows it no longer is shown against the stand-in below.
    await server.kill();
    await server.launch();
    await bob.reloadUntil(bob.page.getByText('You are logged out'), { path: '/settings', timeout: 30_000 });
    await alice.goto('/settings');
    assert.equal(path(alice), '/settings');
});

step('no token of GitHub lies open on the disk, in the log or in a page', async () => {
    const files = (folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((name) => statSync(name).isFile());
    const open = files(server.data).filter((name) => !name.endsWith('emulate.json') && readFileSync(name, 'latin1').includes('gho_'));
    assert.deepEqual(open, []);
    assert.doesNotMatch(server.said(10_000), /gho_|browser-tests-alone|seamless_login=/);
    assert.doesNotMatch(await alice.page.content(), /gho_|browser-tests-alone/);
});

step('a code is worth nothing without its verifier; a team lets its members in', async () => {
    ours = await standIn('dana', ['acme/platform']);
    teamed = await Server.start({ environment: { ...settings(ours.url), SEAMLESS_ALLOWED_ORGS: 'acme/platform:deployer, acme/other:owner' } });
    const dana = await open(teamed);
    await dana.goto('/login');
    await dana.page.getByText('read:org').waitFor();
    assert.equal(await dana.page.getByLabel('Set-up code').count(), 0);
    await logIn(dana);
    assert.equal(path(dana), '/');
    assert.equal(await dana.page.locator('html').getAttribute('data-role'), 'deployer');
    assert.deepEqual(ours.refused, []);

    // A code of somebody else's login, put into one's own: state and cookie fit, the verifier does not.
    const begin = async () => {
        const answer = await fetch(`${teamed.url}/login/github`, { method: 'POST', body: new URLSearchParams(), redirect: 'manual' });
        const to = answer.headers.get('location');
        const back = (await fetch(to, { redirect: 'manual' })).headers.get('location');
        return { jar: answer.headers.get('set-cookie').split(';')[0], back: new URL(back).searchParams };
    };
    const [mine, theirs] = [await begin(), await begin()];
    const query = new URLSearchParams({ code: theirs.back.get('code'), state: mine.back.get('state') });
    const answer = await fetch(`${teamed.url}/login/github/callback?${query}`, { redirect: 'manual', headers: { cookie: mine.jar } });
    assert.equal(answer.headers.get('location'), '/login?said=spent');
    assert.equal(ours.refused.length, 1);
    assert.match(ours.refused[0].code_verifier, /^[0-9a-f]{64}$/);

    // On no list of this server's, though GitHub knows them well.
    ours.comes('mallory');
    const mallory = await open(teamed);
    await logIn(mallory);
    assert.equal(path(mallory), '/login');
    assert.match(await said(mallory), /mallory may not in here\. Ask an owner to invite you by that name/);
    assert.equal(await cookie(mallory, 'seamless_session'), undefined);
    ours.comes('dana');

    ours.revoke();
    await teamed.kill();
    await teamed.launch();
    await dana.reloadUntil(dana.page.getByText('You are logged out'), { path: '/settings', timeout: 30_000 });
});

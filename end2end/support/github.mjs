// Two GitHubs to log in at. `emulate` (npm) is a program of others: its authorize page, its exchange, its tokens. It checks the app, its
// secret, its callback URL, and that a code is used once; it looks at no code_challenge. The stand-in is ours, and there for that: it
// gives a code for a challenge and takes it only with its verifier, as https://docs.github.com/apps says GitHub does. It leaves everything
// else unproven.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import * as module from 'node:module';
import { join, resolve } from 'node:path';

import { freePort } from './server.mjs';

const modules = resolve(import.meta.dirname, '../node_modules');

/** The app that both know. */
export const APP = { GITHUB_CLIENT_ID: 'Ov23seamless', GITHUB_CLIENT_SECRET: 'browser-tests-alone' };

/** The settings of a server whose GitHub is at an address. */
export const settings = (url) => ({ ...APP, GITHUB_URL: url, GITHUB_API_URL: url });

/** A port, then `start` once it is known where browsers are sent back to. */
export async function emulate() {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    let child;
    const start = async (folder, callback, users) => {
        const seed = {
            github: {
                users: users.map((login) => ({ login, name: login[0].toUpperCase() + login.slice(1), email: `${login}@example.org` })),
                oauth_apps: [{ client_id: APP.GITHUB_CLIENT_ID, client_secret: APP.GITHUB_CLIENT_SECRET, name: 'Seamless', redirect_uris: [callback] }],
            },
        };
        const file = join(folder, 'emulate.json');
        writeFileSync(file, JSON.stringify(seed));
        // It wants a newer Node than some systems have; npm brings one.
        const node = module.registerHooks ? process.execPath : join(modules, 'node/bin/node');
        const args = [join(modules, 'emulate/dist/index.js'), 'start', '--service', 'github', '--port', String(port), '--seed', file];
        child = spawn(node, args, { cwd: folder, stdio: 'ignore' });
        process.once('exit', () => child.kill());
        for (;;) {
            if (await fetch(url).catch(() => null)) return;
            if (child.exitCode !== null) throw new Error(`emulate ended with ${child.exitCode}`);
            await new Promise((go) => setTimeout(go, 50));
        }
    };
    return { url, start, stop: () => child?.kill() };
}

/** Ours. Whoever comes is `login` (`comes(login)` makes it somebody else, who is in nothing), and is asked nothing; `members` are the organisations and teams that person belongs to. */
export async function standIn(login, members = []) {
    const codes = new Map();
    const tokens = new Set();
    const refused = [];
    const numbers = [login];
    const server = createServer(async (request, answer) => {
        const url = new URL(request.url, 'http://x');
        const json = (status, body) => answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        if (url.pathname === '/login/oauth/authorize') {
            const asked = Object.fromEntries(url.searchParams);
            const code = randomBytes(16).toString('hex');
            codes.set(code, asked);
            const back = new URL(asked.redirect_uri);
            back.search = new URLSearchParams({ code, state: asked.state });
            return answer.writeHead(302, { location: back.href }).end();
        }
        if (url.pathname === '/login/oauth/access_token') {
            let body = '';
            for await (const part of request) body += part;
            const given = Object.fromEntries(new URLSearchParams(body));
            const asked = codes.get(given.code);
            codes.delete(given.code);
            const challenge = createHash('sha256').update(given.code_verifier ?? '').digest('base64url');
            const fits = asked?.code_challenge_method === 'S256' && asked.code_challenge === challenge;
            if (!fits || given.redirect_uri !== asked.redirect_uri) {
                refused.push(given);
                return json(200, { error: 'bad_verification_code' });
            }
            const token = `gho_${randomBytes(16).toString('hex')}`;
            tokens.add(token);
            return json(200, { access_token: token, token_type: 'bearer', scope: asked.scope ?? '' });
        }
        if (!tokens.has(request.headers.authorization?.slice(7))) return json(401, { message: 'Bad credentials' });
        if (url.pathname === '/user') return json(200, { id: numbers.indexOf(login) + 77, login, name: null });
        const at = url.pathname.match(/^\/orgs\/([^/]+)(?:\/teams\/([^/]+))?\/memberships\//);
        if (at && login === numbers[0] && members.includes(at.slice(1).filter(Boolean).join('/'))) return json(200, { state: 'active' });
        json(404, { message: 'Not Found' });
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const comes = (another) => {
        login = another;
        numbers.push(another);
    };
    return { url: `http://127.0.0.1:${server.address().port}`, comes, codes, refused, revoke: () => tokens.clear(), stop: () => server.close() };
}

// The real server for a test: its own data folder, a free port, and everything gone when the test is over.
//
// Refuses to leave anything behind: whatever names the data folder in its command line, environment or folder is ended.

import { spawn, execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const binary = resolve(process.env.SEAMLESS_BIN ?? join(root, 'target/debug/seamless'));
const site = resolve(process.env.SEAMLESS_SITE ?? join(root, 'target/site'));

/** A port that nobody listens on just now. */
export function freePort() {
    return new Promise((done, failed) => {
        const probe = createServer().once('error', failed);
        probe.listen(0, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => done(port));
        });
    });
}

const read = (file) => {
    try {
        return readFileSync(file, 'latin1');
    } catch {
        return ''; // ended meanwhile, or not ours to look at
    }
};

/** The processes that belong to a folder. */
export function processesOf(folder) {
    const belongs = (pid) => {
        if (read(`/proc/${pid}/cmdline`).includes(folder) || read(`/proc/${pid}/environ`).includes(folder)) return true;
        try {
            return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
        } catch {
            return false;
        }
    };
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
    return pids.filter((pid) => pid !== process.pid && belongs(pid));
}

export class Server {
    #child;
    #said = [];

    /** Starts a server with an empty data folder. Without `docker` it finds no daemon, and services run as processes. */
    static async start({ demo = false, docker = false, environment = {} } = {}) {
        const server = new Server();
        if (!docker) environment = { DOCKER_HOST: 'unix:///nonexistent/docker.sock', ...environment };
        server.data = mkdtempSync(join(tmpdir(), 'seamless-browser-'));
        server.demo = demo;
        server.environment = environment;
        server.clean = () => server.#clean();
        process.once('exit', server.clean);
        // Who is told to stop tidies up as well.
        for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
        server.port = await freePort();
        server.url = `http://127.0.0.1:${server.port}`;
        await server.launch();
        return server;
    }

    /** Starts the process; also again, after it was killed. */
    async launch() {
        this.#child = spawn(binary, this.demo ? ['serve', '--demo'] : ['serve'], {
            env: this.#env(),
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        const child = this.#child;
        this.ended = new Promise((done) => child.once('exit', done));
        const link = new Promise((done, failed) => {
            for (const stream of [child.stdout, child.stderr]) {
                createInterface({ input: stream }).on('line', (line) => {
                    this.#said.push(line);
                    const found = line.match(/https?:\/\/\S+\/login\/\S+/);
                    if (found) done(found[0]);
                });
            }
            child.once('error', failed);
            child.once('exit', (code) => failed(new Error(`the server ended with ${code}:\n${this.said()}`)));
        });
        this.link = await link;
        await this.ready();
    }

    /** Waits until it answers that it is ready. */
    async ready() {
        for (;;) {
            const answer = await fetch(`${this.url}/readyz`).catch(() => null);
            if (answer?.ok) return;
            if (this.#child.exitCode !== null) throw new Error(`the server ended:\n${this.said()}`);
            await new Promise((go) => setTimeout(go, 20));
        }
    }

    #env() {
        const keep = ['PATH', 'HOME', 'LANG', 'USER'];
        const own = Object.fromEntries(keep.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));
        return {
            ...own,
            SEAMLESS_DATA: this.data,
            SEAMLESS_LISTEN: `127.0.0.1:${this.port}`,
            SEAMLESS_SITE: site,
            ...this.environment,
        };
    }

    /** What it printed last. */
    said(lines = 40) {
        return this.#said.slice(-lines).join('\n');
    }

    /** Ends the server's process without a chance to tidy up. */
    async kill() {
        this.#child.kill('SIGKILL');
        await this.ended;
    }

    /** Runs a command of the command line against this server; its output. */
    async command(...args) {
        const { stdout } = await promisify(execFile)(binary, args, { env: this.#env() });
        return stdout.trim();
    }

    /** Asks the REST API. */
    async api(path, { method = 'GET', body } = {}) {
        this.token ??= (await this.command('token', 'create', '--name', 'browser-tests')).split(/\s+/).at(-1);
        const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
        const answer = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
        if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
        return answer.status === 204 ? null : answer.json();
    }

    /** Ends everything and removes the data folder. */
    async stop() {
        process.removeListener('exit', this.clean);
        this.#child.kill('SIGTERM');
        this.#clean();
        await this.ended;
    }

    #clean() {
        // What one process of the folder starts while another is being ended is found in the next round.
        for (let round = 0; round < 50; round++) {
            const left = processesOf(this.data);
            if (left.length === 0) break;
            for (const pid of left) {
                try {
                    process.kill(pid, 'SIGKILL');
                } catch {
                    // ended by itself
                }
            }
        }
        rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
    }
}

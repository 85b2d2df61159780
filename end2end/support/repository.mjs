// Git repositories for tests, used through the real `git` the way a developer does.

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const identity = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => [[`GIT_${role}_NAME`, 'Dana Dev'], [`GIT_${role}_EMAIL`, 'dana@example.org']]),
);

/** Runs git in a folder; what it printed. */
export async function git(folder, ...args) {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', ...identity };
    const { stdout, stderr } = await run('git', args, { cwd: folder, env });
    return (stdout + stderr).trim();
}

/** A working copy of a repository. */
export class WorkingCopy {
    constructor(folder, origin) {
        this.folder = folder;
        this.origin = origin;
    }

    /** Clones a repository, as the tour does. */
    static async clone(origin) {
        const folder = mkdtempSync(join(tmpdir(), 'seamless-copy-'));
        await git(folder, 'clone', '--quiet', origin, '.');
        return new WorkingCopy(folder, origin);
    }

    /** Makes a bare repository at `origin` with one commit of these files. */
    static async create(origin, files) {
        const folder = mkdtempSync(join(tmpdir(), 'seamless-copy-'));
        await git(folder, 'init', '--quiet', '--bare', '--initial-branch=main', origin);
        await git(folder, 'clone', '--quiet', origin, '.');
        const copy = new WorkingCopy(folder, origin);
        await git(folder, 'checkout', '--quiet', '-B', 'main');
        await copy.push('Begin', files);
        return copy;
    }

    /** Writes files, commits, pushes; the new commit's id. */
    async push(message, files) {
        for (const [name, content] of Object.entries(files)) {
            const path = join(this.folder, name);
            mkdirSync(dirname(path), { recursive: true });
            writeFileSync(path, content);
        }
        await git(this.folder, 'add', '--all');
        await git(this.folder, 'commit', '--quiet', '--message', message);
        this.answer = await git(this.folder, 'push', '--quiet', 'origin', 'HEAD:main');
        return git(this.folder, 'rev-parse', 'HEAD');
    }

    remove() {
        rmSync(this.folder, { recursive: true, force: true });
    }
}

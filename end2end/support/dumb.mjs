// A repository over HTTP that anybody may read, by Git's oldest protocol: files, and nothing else.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';

import { git } from './repository.mjs';

/** Serves the bare repository `folder` as `owner/name` on a free port; answers the address of the site and how to end it. */
export async function serveRepository(folder, fullName) {
    await git(folder, 'update-server-info');
    const prefix = `/${fullName}.git/`;
    const server = createServer(async (request, answer) => {
        const path = normalize(new URL(request.url, 'http://x').pathname);
        const body = path.startsWith(prefix) ? await readFile(join(folder, path.slice(prefix.length))).catch(() => null) : null;
        answer.writeHead(body ? 200 : 404).end(body ?? '');
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

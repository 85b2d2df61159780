// A walk: steps that build on one another, told one by one. When a step fails, what comes after it is skipped, since it would
// only repeat the failure; a picture and the server's last words are kept.

import { test } from 'node:test';

/** The steps of a walk. `where()` names the server and the persons, once they are there. */
export function walk(where) {
    let broken = false;
    return (name, step, { timeout = 120_000 } = {}) =>
        test(name, { timeout }, async (context) => {
            if (broken) return context.skip('an earlier step failed');
            const { server, people = [] } = where();
            try {
                await step(context);
                for (const person of people) person?.isContent();
            } catch (error) {
                broken = true;
                for (const [at, person] of people.entries()) {
                    const kept = await person?.picture(`${name} ${at}`).catch(() => null);
                    if (kept) context.diagnostic(`${person.page.url()} looked like ${kept}`);
                }
                if (server) context.diagnostic(`the server said last:\n${server.said(15)}`);
                throw error;
            }
        });
}

// A visitor of a deployed service who asks again and again, each time over a new connection, and remembers what failed.

import { get } from 'node:http';

const ask = (url) =>
    new Promise((done) => {
        const request = get(url, { agent: false, timeout: 5_000 }, (answer) => {
            answer.resume().on('end', () => done(answer.statusCode === 200 ? null : `answer ${answer.statusCode}`));
        });
        request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
        request.on('error', (error) => done(error.message));
    });

/** Begins to ask; `end()` tells how often, and what failed. */
export function steadily(url) {
    let going = true;
    let asked = 0;
    const failed = [];
    const all = (async () => {
        while (going) {
            const wrong = await ask(url);
            asked += 1;
            if (wrong) failed.push(wrong);
            // Ten a second are enough to meet a switch, and leave the machine to what is watched.
            await new Promise((go) => setTimeout(go, 100));
        }
    })();
    return {
        async end() {
            going = false;
            await all;
            return { asked, failed };
        },
    };
}

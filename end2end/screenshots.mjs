// Pictures of every page for the docs: light and dark, wide and narrow, of what really happened in the demo.
//
//   node end2end/screenshots.mjs [FOLDER] [PAGE...]
//
// Refuses to draw anything that a server did not serve: each state is brought about by pushes, approvals and a rollback.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { NARROW, Person, WIDE, launch } from './support/person.mjs';
import { WorkingCopy } from './support/repository.mjs';
import { Server } from './support/server.mjs';

const [folder = resolve(import.meta.dirname, '../docs/images'), ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const whole = process.env.WHOLE_PAGES === 'yes';
const browser = await launch();
const [server, empty] = await Promise.all([Server.start({ demo: true }), Server.start()]);
const copies = [];

/** Takes the pictures of a page: in both colours, at both sizes. */
async function take(name, at, path, { of = person, before, fits = () => true } = {}) {
    if (only.length > 0 && !only.includes(name)) return;
    for (const theme of ['light', 'dark']) {
        for (const [size, viewport] of [['wide', WIDE], ['narrow', NARROW]]) {
            const window = await Person.open(browser, at, { theme, viewport, like: of });
            window.expects(/404/);
            await window.goto(path);
            await before?.(window.page);
            await window.page.evaluate(() => document.fonts.ready);
            if (!(await fits(window.page))) throw new Error(`${name} does not show what it should`);
            await window.page.screenshot({ path: join(folder, `${name}-${theme}-${size}.png`), fullPage: whole });
            await window.context.close();
        }
    }
    console.log(name);
}

/** The newest run of a service, once it is as it should be. */
async function run(service, status, number) {
    for (;;) {
        const { items } = await server.api('/runs?limit=50');
        const found = items.find((one) => one.service.name === service && (!number || one.number === number));
        if (found?.status === status) return found;
        if (['failure', 'cancelled'].includes(found?.status)) throw new Error(`${service}: ${found.status}: ${found.reason}`);
        await new Promise((go) => setTimeout(go, 200));
    }
}
const clone = async (service) => {
    const copy = await WorkingCopy.clone(join(server.data, `demo/${service}.git`));
    copies.push(copy);
    return { push: (message, change) => copy.push(message, Object.fromEntries(Object.entries(change).map(([file, edit]) => [file, edit(read(copy, file))]))) };
};
const read = (copy, file) => {
    try {
        return readFileSync(join(copy.folder, file), 'utf8');
    } catch {
        return ''; // a new file
    }
};
const approve = (run, comment) => server.api(`/runs/${run.id}/approve`, { method: 'POST', body: { comment } });

let person = await Person.open(browser, server);
try {
    const stranger = await Person.open(browser, empty);
    await take('login', empty, '/login', { of: stranger });
    await stranger.logIn();
    await take('overview-empty', empty, '/', { of: stranger });
    await take('connect-1', empty, '/services/new', { of: stranger });
    await empty.stop();

    await person.logIn();
    await run('catalog', 'success', 1);
    await run('pricing', 'success', 1);
    await approve(await run('shop', 'awaiting_approval', 1), 'The first one.');
    await run('shop', 'success', 1);

    const [shop, catalog, pricing] = await Promise.all(['shop', 'catalog', 'pricing'].map(clone));
    const greet = (text) => ({ 'shop.h': (old) => old.replace(/#define GREETING ".*"/, `#define GREETING "${text}"`) });
    await shop.push('Greet the regulars', greet('Good tea for good people.'));
    await approve(await run('shop', 'awaiting_approval', 2), 'Read it, likes it.');
    await run('shop', 'success', 2);

    await catalog.push('Say where each tea grows', { 'README.md': (old) => `${old}\nEvery tea says where it grows.\n` });
    await run('catalog', 'success', 2);
    const { id: catalogId } = (await run('catalog', 'success', 2)).service;
    const deployed = await server.api(`/services/${catalogId}/deployments?environment=production`);
    const back = deployed.items.find((one) => one.can_roll_back);
    await server.api(`/services/${catalogId}/rollback`, { method: 'POST', body: { environment: 'production', deployment: back.id } });
    await run('catalog', 'success', 3);

    await shop.push('Name the price in euro', { 'README.md': (old) => `${old}\nPrices are in euro.\n` });
    await shop.push('Wish a good morning', greet('Good morning! Good tea, fairly priced.'));
    const waits = await run('shop', 'awaiting_approval', 4);

    await pricing.push('Raise the tax to 19 percent', { 'prices.py': (old) => old.replace('TAX = Decimal("0.07")', 'TAX = Decimal("0.19")') });
    const failed = await run('pricing', 'failure', 2);

    // A test that takes its time and tells what it does.
    await catalog.push('Taste every tea before it is sold', {
        'test/taste.test.mjs': () => `
import { test } from 'node:test';
const teas = ['Sencha', 'Gyokuro', 'Assam', 'Darjeeling', 'Keemun', 'Oolong', 'Pu-erh', 'Rooibos'];
test('every tea is worth its price', async () => {
    for (let cup = 1; cup <= 4000; cup++) {
        const tea = teas[cup % teas.length];
        if (cup % 11 === 0) console.error(\`\\x1b[33mwarning:\\x1b[0m cup \${cup} of \${tea} steeped too long, poured away\`);
        else console.log(\`cup \${cup}  \\x1b[36m\${tea.padEnd(12)}\\x1b[0m \\x1b[32mgood\\x1b[0m\`);
        await new Promise((go) => setTimeout(go, 350));
    }
});
`,
    });
    const busy = await run('catalog', 'in_progress');
    const overview = (page) => page.getByText('Running').first().waitFor({ state: 'attached' });
    const lines = (page) => page.locator('.ln').nth(20).waitFor({ state: 'attached' });
    await person.goto(`/runs/${busy.id}?stage=unit_test`);
    await lines(person.page);

    await take('overview', server, '/', { before: overview });
    await take('run-progress', server, `/runs/${busy.id}?stage=unit_test`, { before: lines });
    await take('run-failed', server, `/runs/${failed.id}`);
    await take('run-approval', server, `/runs/${waits.id}`);
    await take('runs', server, '/runs');
    await take('service', server, `/services/${catalogId}`);
    await take('service-settings', server, `/services/${waits.service.id}/settings`);
    await take('connect-2', server, `/services/new?repository=${encodeURIComponent(join(server.data, 'demo/catalog.git'))}`);
    await take('approvals', server, '/approvals');
    await take('deliveries', server, '/deliveries');
    await take('settings', server, '/settings');
    await take('missing', server, '/nowhere');
} finally {
    await browser.close();
    await Promise.all([server.stop(), empty.stop()]);
    for (const copy of copies) copy.remove();
}

const files = readdirSync(folder).filter((name) => name.endsWith('.png')).map((name) => join(folder, name));
try {
    // Screens have few colours; a palette makes the files a third as large.
    execFileSync('pngquant', ['--force', '--skip-if-larger', '--ext', '.png', '--quality', '80-98', '--', ...files], { stdio: 'inherit' });
} catch (error) {
    if (![98, 99].includes(error.status)) console.log(`pngquant was not used (${error.code ?? error.status}); the pictures stay as they are`);
}
const size = files.reduce((sum, file) => sum + statSync(file).size, 0);
console.log(`${files.length} pictures, ${Math.round(size / 1024)} KB, in ${folder}`);

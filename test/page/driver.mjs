// Drives one page in Debian's Chromium: a JSON command a line on standard input, a JSON answer a line on
// standard output. The modules are installed outside the source tree, in NODEBEAT_TEST_PAGE_MODULES.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(join(process.env.NODEBEAT_TEST_PAGE_MODULES, 'here.js')));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({
  executablePath: process.env.NODEBEAT_TEST_CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
let page = null;
let faults = [];

const commands = {
  async open({ url, width, height, dark }) {
    if (page) await page.context().close();
    faults = [];
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce',
    });
    page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('dialog', (dialog) => faults.push(`dialog ${dialog.message()}`) && dialog.dismiss());
    await page.goto(url);
  },
  async resize({ width, height }) {
    await page.setViewportSize({ width, height });
  },
  evaluate: ({ code }) => page.evaluate(code),
  press: ({ key }) => page.keyboard.press(key),
  fill: ({ selector, text }) => page.fill(selector, text),
  screenshot: ({ path }) => page.screenshot({ path, fullPage: true }).then(() => null),
  faults: () => faults,
  async axe() {
    await page.evaluate(axe);
    const { violations } = await page.evaluate('axe.run({resultTypes: ["violations"]})');
    return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, ...words } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[name](words)) ?? null };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();

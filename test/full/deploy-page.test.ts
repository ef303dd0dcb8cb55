import { whyNotHere } from '@greenroom/tools/images/commands.ts';
import { test } from 'vitest';

/** docs/deploy.md as it stands, `--build` included: both images are built from their Dockerfiles and run in the page's own steps. */
const whyNot = whyNotHere();
if (whyNot !== undefined) {
  console.warn(`docs/deploy.md is not followed with built images. ${whyNot}`);
  test.skip('docs/deploy.md with images from their Dockerfiles', () => undefined);
} else {
  process.env.IMAGES = 'built';
  await import('../integration/deploy-page.test.ts');
}

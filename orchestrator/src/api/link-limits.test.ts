import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createRateLimits } from '../access/rate-limits.ts';
import { createLinkLimits, linkRequests } from './link-limits.ts';

function make() {
  const clock = createFakeClock();
  const links = createLinkLimits({ clock, limits: createRateLimits({ clock, spend: async () => [] }) });
  let asked = 0;
  const use = (code: string, kind: string, sessionId = 'session') =>
    links
      .use(sessionId, code, async () => {
        asked += 1;
        return { kind };
      })
      .then(
        () => 'answered',
        (error: { code: string }) => error.code,
      );
  return { clock, use, asked: () => asked };
}

test('one link has a limit per minute, and another link of the same session has its own', async () => {
  const { use, asked, clock } = make();
  for (let n = 0; n < linkRequests.link; n += 1) expect(await use('code', 'accepted')).toBe('answered');
  expect(await use('code', 'accepted')).toBe('rate_limited');
  expect(asked()).toBe(linkRequests.link);
  expect(await use('another', 'accepted')).toBe('answered');
  await clock.advance(60_000);
  expect(await use('code', 'accepted')).toBe('answered');
});

test('guessed codes cause a limited number of look-ups in all, and a valid link still works', async () => {
  const { use, asked } = make();
  expect(await use('good', 'accepted')).toBe('answered');
  const answers: string[] = [];
  for (let n = 0; n < 4_000; n += 1) answers.push(await use(`made-up-${n}`, 'invalid', `session-${n}`));
  expect(asked()).toBe(linkRequests.unknown);
  expect(answers.at(-1)).toBe('rate_limited');
  expect(await use('good', 'accepted')).toBe('answered');
});

import { dashboardViews } from '@greenroom/shared/protocol/operators.ts';
import { expect, test } from 'vitest';
import { views } from './keys.tsx';
import { router } from './router.tsx';

const firstOf = (path: string): string => path.split('/')[1] ?? '';

test('the page has a route for every address at which the orchestrator serves it, and no other', () => {
  const routed = new Set(Object.keys(router.routesByPath).map(firstOf));
  expect([...routed].toSorted()).toEqual(['', ...dashboardViews].toSorted());
});

test('the navigation leads to every view, each by another key', () => {
  expect(views.map(({ to }) => firstOf(to)).toSorted()).toEqual(['', ...dashboardViews].toSorted());
  expect(new Set(views.map(({ key }) => key)).size).toBe(views.length);
});

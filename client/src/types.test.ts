import {
  type CandidateRequest,
  type NetworkQuality,
  problemCodes as sharedProblemCodes,
} from '@greenroom/shared/protocol/socket-values.ts';
import type { TranscriptEntry, TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { expect, expectTypeOf, test } from 'vitest';
import { problemCodes } from './problems.ts';
import type * as own from './types.ts';

test('the types of the package equal those of the protocol', () => {
  expectTypeOf<own.CandidateRequest>().toEqualTypeOf<CandidateRequest>();
  expectTypeOf<own.NetworkQuality>().toEqualTypeOf<NetworkQuality>();
  expectTypeOf<own.SpokenEntry>().toEqualTypeOf<Readonly<TranscriptEntry>>();
  expectTypeOf<own.KeptEntry>().toEqualTypeOf<TranscriptEntryInput>();
});

test('the package and the worker know the same problems', () => {
  expect(problemCodes).toEqual(sharedProblemCodes);
});

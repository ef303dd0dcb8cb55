import type { CandidateRequest, NetworkQuality } from '@greenroom/shared/protocol/socket-values.ts';
import type { TranscriptEntry, TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { expectTypeOf, test } from 'vitest';
import type * as own from './types.ts';

test('the types of the package equal those of the protocol', () => {
  expectTypeOf<own.CandidateRequest>().toEqualTypeOf<CandidateRequest>();
  expectTypeOf<own.NetworkQuality>().toEqualTypeOf<NetworkQuality>();
  expectTypeOf<own.SpokenEntry>().toEqualTypeOf<Readonly<TranscriptEntry>>();
  expectTypeOf<own.KeptEntry>().toEqualTypeOf<TranscriptEntryInput>();
});

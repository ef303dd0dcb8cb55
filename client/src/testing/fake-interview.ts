import { createEmitter } from '../emitter.ts';
import { createSnapshotStore } from '../snapshot.ts';
import type { Interview, InterviewEvents, Invitation, Snapshot } from '../types.ts';

export const anInvitation: Invitation = {
  status: 'ready',
  startsAt: null,
  joinable: true,
  organiser: 'Northwind',
  position: 'Backend engineer',
  candidate: 'Kim Lee',
  minutes: 50,
  recordsVideo: false,
  simulated: false,
  consent: null,
  ending: null,
  adjustments: { extraMinutes: 0, slower: false, typing: false },
  bound: 'no',
};

/** An interview whose state the test sets: for components, without network or microphone. */
export interface FakeInterview extends Interview {
  set(change: Partial<Snapshot>): void;
  emit: ReturnType<typeof createEmitter<InterviewEvents>>['emit'];
  /** What was called, oldest first. */
  readonly calls: string[];
}

export function createFakeInterview(invitation: Invitation = anInvitation): FakeInterview {
  const snapshots = createSnapshotStore();
  const events = createEmitter<InterviewEvents>();
  const calls: string[] = [];
  const noted = (name: string) => {
    calls.push(name);
  };
  return {
    get snapshot() {
      return snapshots.current;
    },
    calls,
    set: snapshots.update,
    emit: events.emit,
    subscribe: snapshots.subscribe,
    on: events.on,
    level: { input: () => 0.4, output: () => 0.2 },
    videoOffer: null,
    look: async () => invitation,
    consent: async () => noted('consent'),
    decline: async () => noted('decline'),
    withdraw: async () => {
      noted('withdraw');
      snapshots.update({
        withdrawn: true,
        transcript: [],
        status: { name: 'ended', outcome: 'cancelled', reason: 'consent_withdrawn', at: 0 },
      });
      return true;
    },
    readTranscript: async () => {
      noted('readTranscript');
      return true;
    },
    correct: async ({ item_id }, correction) => {
      noted(`correct ${item_id} ${correction}`);
      return true;
    },
    handover: async () => ({ code: '123456', expiresAt: 0 }),
    continueHere: async () => true,
    microphoneTrack: undefined,
    checkMicrophone: async () => noted('checkMicrophone'),
    join: async () => noted('join'),
    retry: () => noted('retry'),
    setMuted: (muted) => {
      noted(`setMuted ${muted}`);
      snapshots.update({ devices: { ...snapshots.current.devices, muted } });
    },
    setDevice: async () => noted('setDevice'),
    request: (what) => {
      noted(`request ${what}`);
      return true;
    },
    say: (text) => noted(`say ${text}`),
    end: async () => {
      noted('end');
      return { outcome: 'completed', reason: 'ended_by_candidate' };
    },
    leave: () => noted('leave'),
  };
}

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from 'react';
import { createInterview } from '../src/interview.ts';
import type { Interview, InterviewOptions, Snapshot } from '../src/types.ts';
import { en } from './en.ts';
import type { Messages } from './messages.ts';

/** Hooks over one interview, split so that one change redraws one thing. A level is no state: it is read while drawing. */
export const InterviewContext = createContext<Interview | null>(null);
export const MessagesContext = createContext<Messages>(en);

export function useInterview(): Interview {
  const interview = useContext(InterviewContext);
  if (!interview) throw new Error('Put this component inside <InterviewProvider>.');
  return interview;
}
export const useMessages = (): Messages => useContext(MessagesContext);

function usePart<P extends keyof Snapshot>(part: P): Snapshot[P] {
  const interview = useInterview();
  const read = () => interview.snapshot[part];
  return useSyncExternalStore(interview.subscribe, read, read);
}
export const useStatus = () => usePart('status');
export const useSaving = () => usePart('saving');
export const useDevices = () => usePart('devices');
export const useTranscript = () => usePart('transcript');
export const useNetwork = () => usePart('network');
export const useClock = () => usePart('clock');
export const useWithdrawn = () => usePart('withdrawn');
export const useProblem = () => usePart('problem');

/**
 * One interview for as long as the component is mounted. It is made in an effect and left on unmount, so that strict mode's
 * second mount makes another one, and neither connects before `join()`.
 */
export function useOwnInterview(options: InterviewOptions): Interview | null {
  const [interview, setInterview] = useState<Interview | null>(null);
  const { link } = options;
  const key = typeof link === 'string' ? link : `${link.websocketUrl} ${link.joinToken}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another link is another interview; other options are read once
  useEffect(() => {
    const made = createInterview(options);
    setInterview(made);
    return () => made.leave();
  }, [key]);
  return interview;
}

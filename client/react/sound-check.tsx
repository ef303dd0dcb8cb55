import { useEffect, useRef, useState } from 'react';
import { useInterview, useMessages } from './hooks.ts';
import type { PartProps } from './parts.tsx';
import { createSounds, type Sounds } from './sounds.ts';

/** A sound check before the interview. Everything stays on this device: nothing is sent, and nothing is kept. */
function useSounds(): () => Sounds {
  const sounds = useRef<Sounds>(undefined);
  useEffect(() => () => sounds.current?.close(), []);
  return () => {
    sounds.current ??= createSounds();
    return sounds.current;
  };
}

/** Plays a tone, so that the candidate knows whether the loudspeaker works. */
export function SpeakerTest({ className }: PartProps) {
  const messages = useMessages();
  const sounds = useSounds();
  const [played, setPlayed] = useState(false);
  const play = async () => {
    await sounds().tone();
    setPlayed(true);
  };
  return (
    <div className={className} data-part="speaker-test">
      <button type="button" onClick={() => void play().catch(() => undefined)}>
        {messages.testTone}
      </button>
      <p role="status">{played ? messages.testTonePlayed : ''}</p>
    </div>
  );
}

/** Records a few seconds of the microphone and plays them back. */
export function Rehearsal({ className, seconds = 4 }: PartProps & { seconds?: number }) {
  const interview = useInterview();
  const messages = useMessages();
  const sounds = useSounds();
  const [step, setStep] = useState<'idle' | 'recording' | 'playing' | 'done' | 'impossible'>('idle');
  const rehearse = async () => {
    await interview.checkMicrophone();
    const track = interview.microphoneTrack;
    if (!track) return;
    setStep('recording');
    const heard = await sounds().record(track, seconds * 1_000);
    setStep('playing');
    await sounds().play(heard);
    setStep('done');
  };
  return (
    <div className={className} data-part="rehearsal" data-state={step}>
      <button
        type="button"
        aria-disabled={step === 'recording' || step === 'playing'}
        onClick={() => {
          if (step !== 'recording' && step !== 'playing') void rehearse().catch(() => setStep('impossible'));
        }}
      >
        {messages.rehearse}
      </button>
      <p role="status">{messages.rehearsal[step]}</p>
    </div>
  );
}

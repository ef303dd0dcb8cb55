import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createScriptedVoice } from '../src/realtime/scripted/voice.ts';
import type { VoiceFactory } from '../src/realtime/voice.ts';

/** The scripted adapter with these questions. It shows that realtime/voice.ts really is the border. */
export interface Scripted {
  factory: VoiceFactory;
  /** The calls of the adapter's functions, in order. */
  readonly asked: string[];
}

export function scriptedVoice(questions: string[]): Scripted {
  const asked: string[] = [];
  const adapter = createScriptedVoice({ clock: systemClock });
  const factory: VoiceFactory = (options) => {
    const voice = adapter(options);
    return {
      ...voice,
      createCall: (offer) => {
        asked.push(`call ${offer.offer}`);
        return voice.createCall(offer);
      },
      hangUp: (callId, credential) => {
        asked.push(`hang up ${callId.split('_')[0]}`);
        return voice.hangUp(callId, credential);
      },
      attend: (call, hear) => voice.attend({ ...call, session: { type: 'scripted', questions } }, hear),
    };
  };
  return { factory, asked };
}

import { createBrowserPeer } from './browser-peer.ts';
import { createLevels, type Levels } from './levels.ts';
import { createMicrophone } from './microphone.ts';
import { createPlayback } from './playback.ts';
import type { Problems } from './problems.ts';
import type { CallPeer, Device, Devices, IceServer } from './types.ts';

/** Microphone, loudspeaker and their sound levels. */
export interface Audio {
  /** Opens the microphone, unless it is open already. */
  open(): Promise<void>;
  createPeer(iceServers: readonly IceServer[]): CallPeer;
  readonly track: MediaStreamTrack | undefined;
  choose(kind: Device['kind'], deviceId: string): Promise<void>;
  setMuted(muted: boolean): void;
  retry(): void;
  readonly levels: Levels;
  close(): void;
}

export interface AudioDeps {
  problems: Problems;
  element?: HTMLAudioElement;
  onDevices(devices: Omit<Devices, 'muted'>): void;
}

const kinds: Partial<Record<MediaDeviceKind, Device['kind']>> = { audioinput: 'microphone', audiooutput: 'speaker' };

export function createAudio({ problems, element = new globalThis.Audio(), onDevices }: AudioDeps): Audio {
  const media = navigator.mediaDevices as MediaDevices | undefined;
  const microphone = createMicrophone({ problems });
  const playback = createPlayback({ problems, audio: element });
  const levels = createLevels(() => new AudioContext());
  let speakerId: string | undefined;

  const list = async () => {
    const found = (await media?.enumerateDevices().catch(() => [])) ?? [];
    const all = found.flatMap(({ kind, deviceId, label }): Device[] => {
      const ours = kinds[kind];
      return ours && deviceId ? [Object.freeze({ kind: ours, id: deviceId, label })] : [];
    });
    const { deviceId } = microphone.track?.getSettings() ?? {};
    const label = microphone.track?.label ?? '';
    const used = microphone.track ? Object.freeze({ kind: 'microphone' as const, id: deviceId ?? '', label }) : null;
    onDevices({ microphone: used, speaker: all.find(({ id }) => id === speakerId) ?? null, all });
  };
  const onChange = () => void list();
  media?.addEventListener('devicechange', onChange);
  microphone.onTrack((track) => {
    levels.hear('input', new MediaStream([track]));
    void list();
  });

  return {
    open: async () => {
      if (microphone.track?.readyState !== 'live') await microphone.open();
    },
    get track() {
      return microphone.track;
    },
    createPeer: (iceServers) =>
      createBrowserPeer({
        iceServers,
        microphone,
        onVoice: (stream) => {
          levels.hear('output', stream);
          playback.play(stream);
        },
      }),
    choose: async (kind, deviceId) => {
      if (kind === 'microphone') return microphone.open(deviceId);
      await element.setSinkId?.(deviceId);
      speakerId = deviceId;
      return list();
    },
    setMuted: microphone.setMuted,
    retry: () => {
      microphone.retry();
      void playback.resume();
    },
    levels,
    close: () => {
      media?.removeEventListener('devicechange', onChange);
      microphone.close();
      playback.stop();
      levels.close();
    },
  };
}

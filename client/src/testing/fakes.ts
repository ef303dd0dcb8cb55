/** Fakes of the browser's objects, controlled by the test. */

/** A microphone's track. The page calls `stop`; the test calls `end` and `setMuted` in the role of the system. */
export class FakeTrack extends EventTarget {
  readonly kind = 'audio';
  readonly label: string;
  readyState: 'live' | 'ended' = 'live';
  muted = false;
  enabled = true;
  constructor(label = 'microphone') {
    super();
    this.label = label;
  }
  stop() {
    this.readyState = 'ended';
  }
  end() {
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
  setMuted(muted: boolean) {
    this.muted = muted;
    this.dispatchEvent(new Event(muted ? 'mute' : 'unmute'));
  }
}

/** `navigator.mediaDevices`. Each request takes the next of `answers`; if there is none, it gets a new track. */
export class FakeDevices extends EventTarget {
  readonly tracks: FakeTrack[] = [];
  readonly asked: MediaStreamConstraints[] = [];
  readonly answers: Array<string | Promise<void>> = [];
  async getUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream> {
    this.asked.push(constraints);
    const answer = this.answers.shift();
    if (typeof answer === 'string') throw new DOMException('no', answer);
    await answer;
    const track = new FakeTrack(`microphone ${this.tracks.length + 1}`);
    this.tracks.push(track);
    return { getAudioTracks: () => [track], getTracks: () => [track] } as unknown as MediaStream;
  }
  change() {
    this.dispatchEvent(new Event('devicechange'));
  }
}

/** The visibility and the press events of a document. */
export class FakePage extends EventTarget {
  visibilityState: DocumentVisibilityState = 'visible';
  press() {
    this.dispatchEvent(new Event('pointerdown'));
  }
  show() {
    this.visibilityState = 'visible';
    this.dispatchEvent(new Event('visibilitychange'));
  }
}

/** An audio element whose `play` rejects with `refusal` while it is set. */
export class FakeAudio extends EventTarget {
  srcObject: MediaStream | null = null;
  paused = true;
  refusal: string | undefined;
  async play() {
    if (this.refusal) throw new DOMException('no', this.refusal);
    this.paused = false;
  }
  pause() {
    this.paused = true;
    this.dispatchEvent(new Event('pause'));
  }
}

/** `navigator.wakeLock`. The test releases its locks in the role of the browser. */
export class FakeWakeLock {
  readonly locks: Array<{ released: boolean; release(): Promise<void> }> = [];
  refuses = false;
  async request() {
    if (this.refuses) throw new DOMException('no', 'NotAllowedError');
    const lock = {
      released: false,
      release: async () => {
        lock.released = true;
      },
    };
    this.locks.push(lock);
    return lock as unknown as WakeLockSentinel;
  }
  get held() {
    return this.locks.filter(({ released }) => !released).length;
  }
}

export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

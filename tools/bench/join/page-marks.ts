/** When something first took place in the page, Unix ms with fractions. */
export type Mark =
  | 'click'
  | 'microphone'
  | 'joinAsked'
  | 'joinAnswered'
  | 'socketAsked'
  | 'socketOpen'
  | 'offerMade'
  | 'offerSent'
  | 'ready'
  | 'answer'
  | 'connected'
  | 'audio';

/** Runs in the page before its scripts. */
export function markPage(): void {
  const marks: Partial<Record<Mark, number>> = {};
  Object.assign(window, { marks });
  const mark = (name: Mark) => {
    marks[name] ??= performance.timeOrigin + performance.now();
  };
  addEventListener('click', () => mark('click'), { capture: true });

  const { fetch } = window;
  window.fetch = async (input, init) => {
    const isJoin = init?.method === 'POST' && /\/api\/join$/.test(String(input));
    if (isJoin) mark('joinAsked');
    const answer = await fetch(input, init);
    if (isJoin) mark('joinAnswered');
    return answer;
  };

  const { mediaDevices } = navigator;
  const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const stream = await getUserMedia(constraints);
    // Before the click it costs nobody anything.
    if (marks.click !== undefined) mark('microphone');
    return stream;
  };

  window.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      mark('socketAsked');
      super(url, protocols);
      this.addEventListener('open', () => mark('socketOpen'));
      this.addEventListener('message', ({ data }) => {
        const { type } = JSON.parse(String(data)) as { type: string };
        if (type === 'session_ready') mark('ready');
        if (type === 'sdp_answer') mark('answer');
      });
    }
    override send(data: string) {
      const { type } = JSON.parse(data) as { type: string };
      if (type === 'sdp_offer') mark('offerSent');
      if (type === 'call_connected') mark('connected');
      super.send(data);
    }
  };

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      const look = setInterval(async () => {
        if (this.connectionState === 'closed') return clearInterval(look);
        const stats = [...(await this.getStats()).values()] as Array<Record<string, unknown>>;
        const voice = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
        if (!Number(voice?.packetsReceived)) return;
        mark('audio');
        clearInterval(look);
      }, 5);
    }
    override async setLocalDescription(description?: RTCLocalSessionDescriptionInit) {
      await super.setLocalDescription(description);
      mark('offerMade');
    }
  };
}

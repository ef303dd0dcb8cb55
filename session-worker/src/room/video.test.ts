import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { describe, expect, test } from 'vitest';
import { createVideo } from './video.ts';

describe('the recording', () => {
  const offer = (ordinal: number, token = `to${ordinal}`) => ({
    ordinal,
    token,
    video_id: `vi${ordinal}`,
    expires_at: 0,
  });
  const setUp = (resumed = false) => {
    const told: string[] = [];
    const send = (message: ServerMessage) => void told.push(message.type === 'video_token' ? message.video_id : '');
    const video = createVideo({ send, resumed });
    return { told, video, join: (fresh: boolean) => video.joined(fresh, send) };
  };

  test('is sent once when it is there, and again when the browser reconnects', () => {
    const { told, video, join } = setUp();
    join(true);
    video.offered(offer(1));
    video.offered(offer(1));
    expect([told, video.wantedOrdinal]).toEqual([['vi1'], undefined]);
    join(false);
    expect(told).toEqual(['vi1', 'vi1']);
  });

  test('of a new page is the next one, which is requested until it is there', () => {
    const { told, video, join } = setUp();
    join(true);
    video.offered(offer(1));
    join(true);
    expect(video.wantedOrdinal).toBe(2);
    video.offered(offer(1));
    expect(told).toEqual(['vi1']);
    video.offered(offer(2));
    expect(told).toEqual(['vi1', 'vi2']);
    // Reloaded twice before the next was there: still only one more.
    join(true);
    join(true);
    expect(video.wantedOrdinal).toBe(3);
  });

  test('is sent again when its token was renewed', () => {
    const { told, video } = setUp();
    video.offered(offer(1));
    video.offered(offer(1, 'other'));
    expect(told).toEqual(['vi1', 'vi1']);
  });

  test('stays the same for a page that continues after a change of machines; a new page gets the next', () => {
    const kept = setUp(true);
    kept.join(false);
    kept.video.offered(offer(3));
    expect([kept.told, kept.video.wantedOrdinal]).toEqual([['vi3'], undefined]);
    const fresh = setUp(true);
    fresh.join(true);
    fresh.video.offered(offer(3));
    expect([fresh.told, fresh.video.wantedOrdinal]).toEqual([[], 4]);
  });
});

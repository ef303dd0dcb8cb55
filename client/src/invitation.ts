import type { Looked } from './join-api.ts';
import type { Invitation } from './types.ts';

/** When the interview is due by this device's clock, which may be wrong. Unix ms. */
export const startOf = ({ starts_at, now }: Looked): number | null =>
  starts_at === null ? null : Date.parse(starts_at) - Date.parse(now) + Date.now();

/** What the service says of an invitation, in this package's words. */
export const invitationOf = (looked: Looked): Invitation => ({
  status: looked.status,
  startsAt: startOf(looked),
  joinable: looked.joinable,
  organiser: looked.organiser,
  position: looked.position.title,
  candidate: looked.candidate.name,
  minutes: looked.minutes,
  recordsVideo: looked.records_video,
  simulated: looked.simulated,
  consent:
    looked.consent.text_version === null
      ? null
      : {
          textVersion: looked.consent.text_version,
          text: looked.consent.text,
          isGiven: looked.consent.given_at !== null,
          isWithdrawn: looked.consent.withdrawal.withdrawn_at !== null,
          onWithdrawal: looked.consent.withdrawal.effect,
        },
  ending: looked.ending,
  adjustments: {
    extraMinutes: looked.adjustments.extra_minutes,
    slower: looked.adjustments.slower,
    typing: looked.adjustments.typing,
  },
  bound: looked.bound,
});

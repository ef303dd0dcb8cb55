/** Times of day by the candidate's clock, in the 24-hour form in every language: `14:03` is never read as a time at night. */
const hourCycle = 'h23';

/** With seconds. @param at Unix ms */
export const timeOf = (at: number, lang: string): string =>
  new Date(at).toLocaleTimeString(lang, { hourCycle, timeStyle: 'medium' });

/** Without seconds, and with the date unless it is today. @param at, now Unix ms */
export function startOf(at: number, lang: string, now = Date.now()): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return new Date(at).toLocaleString(lang, {
    hourCycle,
    timeStyle: 'short',
    ...(isToday ? {} : { dateStyle: 'medium' }),
  });
}

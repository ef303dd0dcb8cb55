const twoDigits = (value: number): string => String(value).padStart(2, '0');

/**
 * With seconds. Not by `Intl`: the first formatter of a page takes 50 ms on a slow phone, in the middle of the conversation.
 * @param at Unix ms
 */
export function timeOf(at: number): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':');
}

/** Without seconds, and with the date unless it is today. @param at, now Unix ms */
export function startOf(at: number, lang: string, now = Date.now()): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return new Date(at).toLocaleString(lang, {
    // In every language: `14:03` is never read as a time at night.
    hourCycle: 'h23',
    timeStyle: 'short',
    ...(isToday ? {} : { dateStyle: 'medium' }),
  });
}

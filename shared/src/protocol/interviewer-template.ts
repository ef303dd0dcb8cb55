import { plainText } from './common.ts';

/**
 * A tenant's own wording of what its interviewers are told. Named placeholders stand for what is known of a session; what a
 * session does not say is left out with its line.
 *
 *   {{candidate_name}}        the candidate's name, on one line and in quotation marks: it may be the candidate's own words
 *   {{position_title}}        the position's title
 *   {{position_description}}  "About the position: …", or nothing
 *   {{language}}              the interview's language
 *   {{opening}}               how to begin: the session's own opening, or to greet and introduce itself
 *   {{questions}}             the session's questions, numbered, or that it chooses them itself
 *   {{instructions}}          "The company adds: …", or nothing
 *
 * The candidate's browser can read all of it: never a rubric, never an expected answer.
 */
export const templatePlaceholders = [
  'candidate_name',
  'position_title',
  'position_description',
  'language',
  'opening',
  'questions',
  'instructions',
] as const;
export type TemplatePlaceholder = (typeof templatePlaceholders)[number];

/**
 * Anything between double braces: a template may hold a placeholder there, and nothing else. The blanks around the name
 * are part of the match (trim it): a pattern that skips them takes cubic time.
 */
export const placeholderPattern = /\{\{([^{}]*)\}\}/g;

/** More would multiply the session's questions and instructions. */
const maxUses = 3;

/** What is wrong with a template, for people; undefined when nothing is. */
export function templateProblem(text: string): string | undefined {
  const uses = new Map<string, number>();
  for (const [, inner = ''] of text.matchAll(placeholderPattern)) {
    const name = inner.trim();
    if (!(templatePlaceholders as readonly string[]).includes(name))
      return `has an unknown placeholder; there are ${templatePlaceholders.join(', ')}`;
    uses.set(name, (uses.get(name) ?? 0) + 1);
    if (uses.get(name) === maxUses + 1) return `uses {{${name}}} more than ${maxUses} times`;
  }
  if (/\{\{|\}\}/.test(text.replaceAll(placeholderPattern, ''))) return 'has a placeholder that is not closed';
  // Without it the interview would run to its maximum duration.
  return text.includes('end_session') ? undefined : 'must tell the interviewer to call end_session at the end';
}

export const interviewerTemplate = plainText(20_000)
  .min(1)
  .superRefine((text, context) => {
    const message = templateProblem(text);
    if (message) context.addIssue({ code: 'custom', message });
  });

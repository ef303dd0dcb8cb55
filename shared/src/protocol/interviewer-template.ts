import { plainText } from './common.ts';

/**
 * A tenant's own text of the interviewer's instructions. Named placeholders are replaced by the data of a session.
 * A line whose placeholder has no value is left out.
 *
 *   {{candidate_name}}        the candidate's name, on one line and in quotation marks, because the candidate may have chosen it
 *   {{position_title}}        the position's title
 *   {{position_description}}  "About the position: …", or nothing
 *   {{language}}              the interview's language
 *   {{opening}}               how to begin: the session's own opening, or to greet and introduce itself
 *   {{questions}}             the session's questions, numbered, or that the interviewer chooses them
 *   {{instructions}}          "The company adds: …", or nothing
 *
 * The candidate's browser can read all of it, so it must never contain a rubric or an expected answer.
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
 * Anything between double braces must be a placeholder. The spaces around the name are part of the match
 * (trim it): a pattern that skips them would take cubic time.
 */
export const placeholderPattern = /\{\{([^{}]*)\}\}/g;

/** How often a placeholder may be used: more would multiply the session's questions and instructions. */
const maxUses = 3;

/** What is wrong with a template, as readable text; undefined when nothing is. */
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
  // Otherwise the interview would run to its maximum duration.
  return text.includes('end_session') ? undefined : 'must tell the interviewer to call end_session at the end';
}

export const interviewerTemplate = plainText(20_000)
  .min(1)
  .superRefine((text, context) => {
    const message = templateProblem(text);
    if (message) context.addIssue({ code: 'custom', message });
  });

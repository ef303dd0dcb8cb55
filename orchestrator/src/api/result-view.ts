import type { ResultFailure, ResultView } from '@greenroom/shared/protocol/results.ts';
import type { StoredResult } from '../database/rows.ts';

const failureTexts: Record<ResultFailure, string> = {
  refused: 'The model declined to evaluate this interview.',
  incomplete: 'The model did not finish its answer.',
  invalid_answer: 'The model did not answer in the requested format.',
  rejected: 'The model provider rejected the request as invalid.',
  provider_auth_failed: 'The model provider rejected the API key.',
  provider_rate_limited: 'The rate limit of the model provider was exceeded.',
  provider_unavailable: 'The model provider did not answer, or answered with an error.',
  interrupted: 'The evaluation was interrupted.',
  internal_error: 'The evaluation failed because of an internal error.',
};

/**
 * A result as the platform API shows it. Leaves out `last_error`, which is for operators only: a model's refusal may
 * repeat parts of the interview.
 */
export function viewResult({ last_error, ...shown }: StoredResult): ResultView {
  return { ...shown, failure_text: shown.failure === null ? null : failureTexts[shown.failure] };
}

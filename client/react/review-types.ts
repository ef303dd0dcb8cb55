/**
 * What `InterviewReview` and `RecordingPlayer` show, as the API answers it. A platform's backend asks the API with its key and
 * passes the answers on unchanged; `review.test.ts` checks that they fit.
 */

/** An entry of `GET /api/sessions/{id}/transcript`. */
export interface ReviewEntry {
  readonly sequence_number: number;
  readonly ordinal: number;
  readonly speaker: 'ai' | 'candidate';
  readonly text: string;
  readonly start_ms: number | null;
  readonly interrupted: boolean;
  readonly verified: boolean;
  /** What the candidate noted about it, such as a word that was misheard. */
  readonly correction?: string | null | undefined;
}

/** `GET /api/sessions/{id}/transcript`. */
export interface ReviewTranscript {
  readonly simulated: boolean;
  readonly entries: readonly ReviewEntry[];
}

export interface ReviewEvaluation {
  readonly strengths: readonly string[];
  readonly areas_to_improve: readonly string[];
  readonly question_notes: ReadonlyArray<{
    readonly question: string;
    readonly notes: string;
    readonly sequence_numbers: readonly number[];
  }>;
  readonly overall_impression: string;
  readonly recommendation: 'undecided' | 'strong_yes' | 'yes' | 'no' | 'strong_no';
  readonly confidence: number;
}

/** `GET /api/sessions/{id}/result`. */
export interface ReviewResult {
  readonly status: 'pending' | 'running' | 'done' | 'empty' | 'dead';
  readonly summary: string | null;
  readonly evaluation: ReviewEvaluation | null;
  readonly integrity_flags: ReadonlyArray<{ readonly kind: string; readonly count: number }>;
  readonly unverified_entries: number;
  readonly human_reviewed: boolean;
  readonly reviewed_by: string | null;
  readonly transcript_revision: number;
  readonly wanted_revision: number;
}

/** One of `GET /api/sessions/{id}/recordings`. */
export interface ReviewRecording {
  readonly video_id: string;
  /** Works once. */
  readonly watch_url: string | null;
  readonly calls: ReadonlyArray<{ readonly ordinal: number; readonly begins_ms: number }>;
}

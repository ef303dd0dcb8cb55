import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { evaluate } from './evaluation.ts';
import { mint, start } from './fixtures.ts';
import { fillSchema } from './schema-filler.ts';
import { readTranscript } from './transcript-reading.ts';

const Evaluation = z.object({
  summary: z.string(),
  overall_score: z.number().min(1).max(5),
  recommendation: z.enum(['strong_yes', 'yes', 'no']),
  criteria: z.array(
    z.object({
      criterion: z.enum(['communication', 'depth', 'ownership']),
      score: z.number().int().min(1).max(5),
      rationale: z.string(),
      evidence: z.array(z.object({ quote: z.string(), sequence_number: z.number().int().nullable() })),
    }),
  ),
  follow_up: z.string().nullable(),
});

const transcript = [
  '[1] interviewer: Welcome. What do you work on?',
  '[2] candidate: I build payment services.',
  '[3] interviewer: What went wrong last?',
  '[4] candidate: A lock held by a slow query.',
].join('\n');

const request = {
  model: 'gpt-6-luna',
  input: [
    { role: 'system' as const, content: 'Evaluate the interview.' },
    { role: 'user' as const, content: transcript },
  ],
  text: { format: zodTextFormat(Evaluation, 'evaluation') },
};

const strict = (changes: object) => ({
  ...{ type: 'json_schema', name: 'x', strict: true },
  schema: {
    ...{ type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false },
    ...changes,
  },
});

async function client() {
  const provider = await start();
  return { provider, openai: new OpenAI({ apiKey: provider.apiKey, baseURL: `${provider.url}/v1`, maxRetries: 0 }) };
}

describe('the official package', () => {
  it('parses an answer that satisfies the schema and quotes the transcript it was given', async () => {
    const { openai } = await client();
    const response = await openai.responses.parse(request);
    const parsed = response.output_parsed;
    expect(parsed?.summary).toContain('I build payment services.');
    expect(parsed?.criteria.map((one) => one.criterion)).toEqual(['communication', 'depth', 'ownership']);
    expect(parsed?.criteria[0]?.evidence).toEqual([
      { quote: 'I build payment services.', sequence_number: 2 },
      { quote: 'A lock held by a slow query.', sequence_number: 4 },
    ]);
    expect(response.usage?.total_tokens).toBeGreaterThan(0);
    expect((await openai.responses.parse(request)).output_text).toBe(response.output_text);
  });

  it('mints a client secret, lists models with their shutdown dates, hangs up', async () => {
    const { openai } = await client();
    const secret = await openai.realtime.clientSecrets.create({
      expires_after: { anchor: 'created_at', seconds: 30 },
      session: { type: 'realtime', model: 'gpt-realtime-2.1', instructions: 'Interview.' },
    });
    expect(secret.value).toMatch(/^ek_/);
    expect(secret.expires_at - Date.now() / 1000).toBeGreaterThan(25);
    expect(secret.session).toMatchObject({ object: 'realtime.session', instructions: 'Interview.' });
    const models = await openai.models.list();
    expect(models.data.find((model) => model.id === 'gpt-realtime')).toMatchObject({ shutdown_date: '2027-01-20' });
    await expect(openai.realtime.calls.hangup('rtc_none')).rejects.toMatchObject({
      status: 404,
      code: 'call_id_not_found',
    });
  });

  it('maps the usual errors to its own classes: unknown key, rate limit, server error', async () => {
    const { openai, provider } = await client();
    const stranger = new OpenAI({ apiKey: 'sk-nobody', baseURL: `${provider.url}/v1`, maxRetries: 0 });
    await expect(stranger.responses.parse(request)).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    provider.faults.add({ on: 'responses', action: { kind: 'status', status: 429, headers: { 'retry-after': '1' } } });
    await expect(openai.responses.parse(request)).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    provider.faults.add({ on: 'responses', action: { kind: 'status', status: 500 } });
    await expect(openai.responses.parse(request)).rejects.toBeInstanceOf(OpenAI.InternalServerError);
  });

  it('can get a refusal, a truncated answer or one that is not JSON', async () => {
    const { openai, provider } = await client();
    const cue = (name: string) => provider.faults.add({ on: 'responses', action: { kind: 'special', name } });
    cue('refusal');
    const refused = await openai.responses.parse(request);
    expect(refused.output[0]).toMatchObject({ content: [{ type: 'refusal' }] });
    expect(refused.output_parsed).toBeNull();
    cue('incomplete');
    const cut = await openai.responses.create(request);
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    cue('invalid_json');
    await expect(openai.responses.parse(request)).rejects.toThrow();
    cue('schema_mismatch');
    await expect(openai.responses.parse(request)).rejects.toThrow();
  });

  // Failure pinned: the stand-in accepted any model, parameter and schema, also those that the real provider refuses.
  it.each<[string, object, string]>([
    ['an unknown model', { model: 'gpt-nobody' }, 'model'],
    ['an unknown parameter', { max_tokens: 100 }, 'max_tokens'],
    ['too little room', { max_output_tokens: 3 }, 'max_output_tokens'],
    ['a schema with an optional field', { text: { format: strict({ required: [] }) } }, 'text.format.schema'],
    ['an open schema', { text: { format: strict({ additionalProperties: true }) } }, 'text.format.schema'],
    ['a composition', { text: { format: strict({ properties: { a: { allOf: [] } } }) } }, 'text.format.schema'],
    ['a root that is no object', { text: { format: strict({ type: 'array' }) } }, 'text.format.schema'],
  ])('is refused %s', async (_what, changes, param) => {
    const { openai } = await client();
    const asked = openai.responses.create({ ...request, ...changes } as typeof request);
    await expect(asked).rejects.toMatchObject({ status: 400, param });
  });

  it('gets an answer cut at max_output_tokens, without an injected fault', async () => {
    const { openai } = await client();
    const cut = await openai.responses.create({ ...request, max_output_tokens: 20 });
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(cut.output_text.length).toBe(80);
  });

  it('reads a stream to its end', async () => {
    const { openai } = await client();
    const types: string[] = [];
    const whole = await openai.responses.create(request);
    const stream = openai.responses.stream(request).on('event', ({ type }) => types.push(type));
    expect((await stream.finalResponse()).output_text).toBe(whole.output_text);
    expect(types.at(-1)).toBe('response.completed');
  });

  it('may not be used with an ephemeral secret', async () => {
    const { provider } = await client();
    const openai = new OpenAI({ apiKey: await mint(provider), baseURL: `${provider.url}/v1`, maxRetries: 0 });
    await expect(openai.responses.parse(request)).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});

describe('an evaluation', () => {
  const lines = readTranscript([transcript]);
  const say = evaluate(lines);

  it('fills every field with words of this interview, also a field without a rule', () => {
    const note = z.object({ question: z.string(), notes: z.string(), sequence_numbers: z.array(z.number().int()) });
    const asked = z.object({
      ...{ strengths: z.array(z.string()), areas_to_improve: z.array(z.string()), question_notes: z.array(note) },
      ...{ overall_impression: z.string(), summary: z.string(), confidence: z.number().min(0).max(1) },
    });
    const answer = asked.parse(fillSchema(z.toJSONSchema(asked), say));
    const texts = [...answer.strengths, ...answer.areas_to_improve, answer.summary, answer.overall_impression];
    for (const text of texts)
      expect(
        lines.some((line) => text.includes(line.text)),
        text,
      ).toBe(true);
    for (const { question, notes } of answer.question_notes) expect(notes).not.toContain(question);
    expect(say({ path: ['team_fit'], index: 0 }, {})).toBe('team fit: "I build payment services."');
  });

  it('reads the notes of the parts, which are the whole input of the last request of a long interview', () => {
    const parts = [
      { summary: 'A part.', question_notes: [{ question: 'Why?', notes: 'Because.', sequence_numbers: [1] }] },
    ];
    const read = readTranscript([`<interview>\n${JSON.stringify({ parts })}\n</interview>`]);
    expect(read.map(({ speaker, text }) => [speaker, text])).toEqual([
      ['interviewer', 'Why?'],
      ['candidate', 'Because.'],
    ]);
  });
});

describe('filling a schema', () => {
  it('respects bounds, formats, references and constants', () => {
    const schema = {
      $defs: { point: { type: 'object', properties: { x: { type: 'integer', minimum: 3, maximum: 4 } } } },
      type: 'object',
      properties: {
        at: { $ref: '#/$defs/point' },
        kind: { const: 'fixed' },
        many: { type: 'array', minItems: 3, maxItems: 3, items: { type: 'string', maxLength: 5 } },
        when: { type: 'string', format: 'date-time' },
        maybe: { anyOf: [{ type: 'null' }, { type: 'boolean' }] },
      },
    };
    expect(fillSchema(schema)).toEqual({
      at: { x: 4 },
      kind: 'fixed',
      many: ['text', 'text', 'text'],
      when: '2026-01-01T09:00:00Z',
      maybe: true,
    });
  });
});

describe('reading a transcript', () => {
  it('finds the same lines in text and in JSON', () => {
    const text = readTranscript(['Transcript:\n[1] interviewer: One?\n[2] candidate (unverified): Two.']);
    const json = readTranscript([
      `Transcript: ${JSON.stringify({
        entries: [
          { sequence_number: 1, speaker: 'interviewer', text: 'One?' },
          { sequence_number: 2, speaker: 'candidate', text: 'Two.' },
        ],
      })}`,
    ]);
    expect(json).toEqual(text);
    expect(text.map((line) => line.number)).toEqual([1, 2]);
  });
});

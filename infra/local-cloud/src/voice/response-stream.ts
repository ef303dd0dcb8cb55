/** An answer of the Responses API as server-sent events: each part begins, is sent in one delta, and ends. */
import type { WireReply } from '../faulty-route.ts';

type Part = { type: string; text: string } | { type: string; refusal: string };

export interface WholeResponse {
  status: string;
  output: Array<{ id: string; status: string; content: Part[]; [field: string]: unknown }>;
  [field: string]: unknown;
}

type Event = { type: string; [field: string]: unknown };

function ofPart(part: Part, at: { item_id: string; output_index: number; content_index: number }): Event[] {
  const empty = 'text' in part ? { ...part, text: '' } : { ...part, refusal: '' };
  const said: Event[] =
    'text' in part
      ? [
          { type: 'response.output_text.delta', ...at, delta: part.text, logprobs: [] },
          { type: 'response.output_text.done', ...at, text: part.text, logprobs: [] },
        ]
      : [
          { type: 'response.refusal.delta', ...at, delta: part.refusal },
          { type: 'response.refusal.done', ...at, refusal: part.refusal },
        ];
  return [
    { type: 'response.content_part.added', ...at, part: empty },
    ...said,
    { type: 'response.content_part.done', ...at, part },
  ];
}

function ofItem(item: WholeResponse['output'][number], output_index: number): Event[] {
  return [
    { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', content: [] } },
    ...item.content.flatMap((part, content_index) => ofPart(part, { item_id: item.id, output_index, content_index })),
    { type: 'response.output_item.done', output_index, item },
  ];
}

export function streamed(response: WholeResponse): WireReply {
  const begun = { ...response, status: 'in_progress', output: [], usage: null };
  const events: Event[] = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...response.output.flatMap(ofItem),
    { type: response.status === 'incomplete' ? 'response.incomplete' : 'response.completed', response },
  ];
  const lines = events.map(
    (event, sequence_number) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`,
  );
  return { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' }, body: lines.join('') };
}

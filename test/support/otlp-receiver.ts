import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import protobuf from 'protobufjs';

/**
 * A tracing backend: receives OTLP over HTTP with protobuf, decoded by the part of OpenTelemetry's published definition
 * (trace.proto) that is written down here, not by the code that encoded it.
 */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  /** Empty: a root. */
  parentSpanId: string;
  name: string;
  service: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  startMs: number;
  endMs: number;
  attributes: Record<string, string | number | boolean>;
  /** Undefined: it did not fail. */
  failure: string | undefined;
  links: Array<{ traceId: string; spanId: string }>;
}

/** How it answers: normally, not at all, with an error, or with something that is no answer. */
export type Mood = 'well' | 'hangs' | 429 | 503 | 'garbage';

export interface OtlpReceiver {
  url: string;
  mood: Mood;
  /** Requests that arrived, whatever the answer. */
  requests: number;
  /** The last request's headers. */
  headers: Record<string, unknown>;
  spans: ReceivedSpan[];
  stop(): Promise<void>;
}

const definition = `
syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Link links = 13; Status status = 15;
}
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
`;
const requestType = protobuf.parse(definition).root.lookupType('ExportTraceServiceRequest');

interface Value {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string;
  doubleValue?: number;
}
interface KeyValue {
  key: string;
  value: Value;
}
interface Span {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: KeyValue[];
  links: Array<{ traceId: string; spanId: string }>;
  status: { message: string; code: number } | null;
}
interface Request {
  resourceSpans: Array<{ resource: { attributes: KeyValue[] }; scopeSpans: Array<{ spans: Span[] }> }>;
}

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');
const millis = (nanos: string): number => Number(BigInt(nanos) / 1_000n) / 1_000;
const record = (attributes: KeyValue[]): Record<string, string | number | boolean> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? value.doubleValue ?? Number(value.intValue),
    ]),
  );

function spansIn(body: Buffer): ReceivedSpan[] {
  const options = { longs: String, bytes: String, defaults: true, oneofs: false };
  const request = requestType.toObject(requestType.decode(body), options) as unknown as Request;
  return request.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        name: span.name,
        service: String(record(resource.attributes)['service.name']),
        kind: span.kind,
        startMs: millis(span.startTimeUnixNano),
        endMs: millis(span.endTimeUnixNano),
        attributes: record(span.attributes),
        failure: span.status?.code === 2 ? span.status.message : undefined,
        links: span.links.map((link) => ({ traceId: hex(link.traceId), spanId: hex(link.spanId) })),
      })),
    ),
  );
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    receiver.requests += 1;
    receiver.headers = request.headers;
    const { mood } = receiver;
    if (mood === 'hangs') return;
    if (typeof mood === 'number') return void response.writeHead(mood).end();
    const isTraces = request.method === 'POST' && request.url === '/v1/traces';
    if (!isTraces || request.headers['content-type'] !== 'application/x-protobuf')
      return void response.writeHead(404).end();
    if (mood === 'garbage') return void request.socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    receiver.spans.push(...spansIn(Buffer.concat(chunks)));
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mood: 'well',
    requests: 0,
    headers: {},
    spans: [],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
}

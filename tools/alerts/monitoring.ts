import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { endProcess, hasExited, spawnTied } from '@greenroom/local-cloud/process.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { root } from '../gate/command.ts';
import type { MonitoringProgram } from './packages.ts';
import { until } from './wait.ts';

/**
 * The monitoring of a deployment as real processes: Prometheus and VictoriaMetrics scrape the same orchestrators, Prometheus and
 * vmalert evaluate the shipped rules, and Alertmanager sends alerts to two local webhooks by the shipped routing.
 *
 * Of the shipped files only addresses and intervals are changed: seconds instead of minutes between two looks.
 */
export interface Monitoring {
  prometheus: MetricsStore;
  /** VictoriaMetrics, with the rules evaluated by vmalert. */
  victoria: MetricsStore;
  /** Names of the alerts that arrived at a receiver of Alertmanager. */
  received(receiver: Receiver): string[];
  stop(): Promise<void>;
}

export type Receiver = 'pager' | 'tickets';

export interface MetricsStore {
  name: string;
  /** The values of an instant query, NaN left out. Throws if the store refuses the query. */
  query(expression: string): Promise<number[]>;
  /** Names of the loaded alerts, by state. */
  alerts(): Promise<Record<'inactive' | 'pending' | 'firing', string[]>>;
}

const shipped = (file: string): string => readFileSync(path.join(root, 'infra/prometheus', file), 'utf8');

/** Replaces each text, and throws if the shipped file does not contain it. */
function replaced(text: string, changes: Array<[from: string, to: string]>): string {
  return changes.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`the shipped file has no ${from}`);
    return changed.replaceAll(from, to);
  }, text);
}

async function json<T>(url: string): Promise<T> {
  const answer = await fetch(url);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text.slice(0, 300)}`);
  return JSON.parse(text) as T;
}

interface Rules {
  data: { groups: Array<{ rules: Array<{ name: string; type: string; state?: 'inactive' | 'pending' | 'firing' }> }> };
}

/** @param rulesUrl where the state of the rules is read: Prometheus itself, or vmalert */
const metricsStore = (name: string, url: string, rulesUrl: string): MetricsStore => ({
  name,
  query: async (expression) => {
    const { data } = await json<{ data: { result: Array<{ value: [number, string] }> } }>(
      `${url}/api/v1/query?query=${encodeURIComponent(expression)}`,
    );
    return data.result.map(({ value }) => Number(value[1])).filter((value) => !Number.isNaN(value));
  },
  alerts: async () => {
    const { data } = await json<Rules>(`${rulesUrl}/api/v1/rules`);
    const alerts = data.groups.flatMap(({ rules }) => rules).filter(({ type }) => type === 'alerting');
    const inState = (wanted: string) => alerts.filter(({ state }) => state === wanted).map(({ name: alert }) => alert);
    return { inactive: inState('inactive'), pending: inState('pending'), firing: inState('firing') };
  },
});

interface ReceiverServer {
  url: string;
  received: Record<Receiver, string[]>;
  stop(): void;
}

/** A webhook for each receiver: `/pager` and `/tickets`. */
async function startReceivers(): Promise<ReceiverServer> {
  const received: ReceiverServer['received'] = { pager: [], tickets: [] };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { alerts } = JSON.parse(Buffer.concat(chunks).toString()) as {
      alerts: Array<{ status: string; labels: { alertname: string } }>;
    };
    const names = alerts.filter(({ status }) => status === 'firing').map(({ labels }) => labels.alertname);
    received[request.url === '/pager' ? 'pager' : 'tickets'].push(...names);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Starts programs that serve HTTP, and ends them all. */
function createPrograms(log: (program: string, line: string) => void) {
  const children: ChildProcess[] = [];
  return {
    start: async (program: MonitoringProgram, args: string[], healthUrl: string): Promise<void> => {
      const child = spawnTied(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      children.push(child);
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding('utf8').on('data', (text: string) => {
          output = `${output}${text}`.slice(-4_000);
          log(program, text.trimEnd());
        });
      await until(`${program} serves ${healthUrl}`, async () => {
        if (hasExited(child)) throw new Error(`${program} ended:\n${output}`);
        return fetch(healthUrl).then(
          ({ ok }) => ok,
          () => false,
        );
      });
    },
    stop: () => Promise.all(children.map((child) => endProcess(child))),
  };
}

/**
 * @param dir a folder for the files of the processes
 * @param targets host and port of each orchestrator's `/metrics`
 */
export async function startMonitoring(
  dir: string,
  targets: string[],
  log: (program: string, line: string) => void = () => undefined,
): Promise<Monitoring> {
  const at = async () => `127.0.0.1:${await freePort()}`;
  const [prometheusAt, victoriaAt, vmalertAt, alertmanagerAt] = [await at(), await at(), await at(), await at()];
  const file = (name: string, text: string): string => {
    const written = path.join(dir, name);
    mkdirSync(path.dirname(written), { recursive: true });
    writeFileSync(written, text);
    return written;
  };
  const receivers = await startReceivers();
  const rules = path.join(root, 'infra/prometheus/rules');
  const scrape = file(
    'prometheus.yml',
    replaced(shipped('prometheus.yml'), [
      ['rules/*.yml', `${rules}/*.yml`],
      ['"127.0.0.1:9093"', `"${alertmanagerAt}"`],
      ['"127.0.0.1:9091"', targets.map((target) => `"${target}"`).join(', ')],
      ['_interval: 15s', '_interval: 1s'],
    ]),
  );
  const routing = file(
    'alertmanager.yml',
    replaced(shipped('alertmanager.yml'), [
      ['https://pager.example.com/greenroom', `${receivers.url}/pager`],
      ['https://tickets.example.com/greenroom', `${receivers.url}/tickets`],
      ['group_wait: 10s', 'group_wait: 1s'],
      ['group_wait: 30s', 'group_wait: 1s'],
      ['group_interval: 1m', 'group_interval: 1s'],
    ]),
  );
  const programs = createPrograms(log);
  const stop = async () => {
    await programs.stop();
    receivers.stop();
  };
  try {
    const gossip = ['--cluster.listen-address='];
    await programs.start(
      'prometheus-alertmanager',
      [
        `--config.file=${routing}`,
        `--storage.path=${dir}/alertmanager`,
        `--web.listen-address=${alertmanagerAt}`,
        ...gossip,
      ],
      `http://${alertmanagerAt}/-/ready`,
    );
    await programs.start(
      'prometheus',
      [`--config.file=${scrape}`, `--storage.tsdb.path=${dir}/prometheus`, `--web.listen-address=${prometheusAt}`],
      `http://${prometheusAt}/-/ready`,
    );
    await programs.start(
      'victoria-metrics',
      [
        ...['-promscrape.config.strictParse=false', `-promscrape.config=${scrape}`],
        ...[`-storageDataPath=${dir}/victoria`, `-httpListenAddr=${victoriaAt}`, '-search.latencyOffset=1s'],
      ],
      `http://${victoriaAt}/health`,
    );
    await programs.start(
      'vmalert',
      [
        ...[`-rule=${rules}/*.yml`, `-httpListenAddr=${vmalertAt}`, '-evaluationInterval=1s'],
        ...[`-datasource.url=http://${victoriaAt}`, `-remoteWrite.url=http://${victoriaAt}`],
        `-notifier.url=http://${alertmanagerAt}`,
      ],
      `http://${vmalertAt}/health`,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    prometheus: metricsStore('Prometheus', `http://${prometheusAt}`, `http://${prometheusAt}`),
    victoria: metricsStore('vmalert', `http://${victoriaAt}`, `http://${vmalertAt}`),
    received: (receiver) => [...new Set(receivers.received[receiver])],
    stop,
  };
}

import type { Explanation, Owner, SessionDocument } from './answers.ts';
import { duration, words } from './format.ts';
import { Rows, When } from './parts.tsx';

/**
 * Where the time of a start went: a bar for each step, coloured and patterned by its owner, and a bar for each machine that was
 * tried. The same figures are a table below.
 */
type Segment = Explanation['segments'][number];

const lanes = [
  { name: 'Fleet', steps: ['queue', 'plan', 'earlier', 'limit', 'ask', 'create', 'start', 'boot', 'init', 'claim'] },
  { name: 'Candidate', steps: ['absent', 'socket', 'offer', 'connect'] },
  { name: 'Call', steps: ['credential', 'answer', 'words'] },
];
const labels: Record<Segment['step'], string> = {
  ...{ queue: 'tenant’s queue', plan: 'until planned', earlier: 'earlier machines', limit: 'Fly’s create limit' },
  ...{
    ask: 'until Fly was asked',
    create: 'Fly creates',
    start: 'Fly starts',
    boot: 'VM boots',
    init: 'worker begins',
  },
  ...{ claim: 'worker claims', absent: 'candidate not there', socket: 'socket arrives', offer: 'browser offers' },
  ...{ credential: 'credential', answer: 'provider answers', connect: 'call connects', words: 'first words' },
};
export const ownerNames: Record<Owner, string> = {
  us: 'us',
  fly: 'Fly',
  provider: 'voice provider',
  candidate: 'candidate',
};

/** A long wait for the candidate is drawn shorter, with a break mark: it is not our time, and would leave no room for the other steps. */
const absentMostMs = 20_000;
const brokenMs = 3_000;

interface Scale {
  /** Share of the width, 0 to 100, at a time. */
  at(time: number): number;
  breakAt: number | undefined;
}

function scaleOf(from: number, until: number, segments: Segment[]): Scale {
  const absent = segments.find(({ step, ms }) => step === 'absent' && ms > absentMostMs);
  const cut = absent === undefined ? 0 : absent.ms - brokenMs;
  const total = Math.max(1, until - from - cut);
  const shown = (time: number): number => {
    if (absent === undefined || time <= absent.from) return time - from;
    if (time >= absent.until) return time - from - cut;
    return absent.from - from + ((time - absent.from) / absent.ms) * brokenMs;
  };
  const at = (time: number) => Math.min(100, Math.max(0, (shown(time) / total) * 100));
  return { at, breakAt: absent && at((absent.from + absent.until) / 2) };
}

const percent = (value: number): string => `${value.toFixed(3)}%`;

function Bar({ from, until, scale, owner }: { from: number; until: number; scale: Scale; owner: Owner | 'machine' }) {
  const [x, end] = [scale.at(from), scale.at(until)];
  return (
    <svg className="bar-line" width="100%" height="18" aria-hidden="true">
      <title>{duration(until - from)}</title>
      <line x1={percent(x)} x2={percent(x)} y1="0" y2="18" />
      <rect x={percent(x)} width={percent(Math.max(0.4, end - x))} y="3" height="12" rx="2" data-owner={owner} />
      {(owner === 'provider' || owner === 'candidate') && (
        <rect
          x={percent(x)}
          width={percent(Math.max(0.4, end - x))}
          y="3"
          height="12"
          rx="2"
          fill={`url(#of-${owner})`}
        />
      )}
    </svg>
  );
}

const ticks = 5;
const roundMs = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 300_000];

/** Labels: the time since the session was due. */
function Axis({ from, until, scale }: { from: number; until: number; scale: Scale }) {
  const every = roundMs.find((ms) => (until - from) / ms <= ticks) ?? 3_600_000;
  const times = Array.from({ length: Math.floor((until - from) / every) + 1 }, (_, n) => n * every);
  return (
    <div className="step">
      <span />
      <svg width="100%" height="14" aria-hidden="true" className="axis">
        <title>Time since it was due</title>
        {times
          .filter((ms) => scale.at(from + ms) < 92)
          .map((ms) => (
            <text key={ms} x={percent(scale.at(from + ms))} y="11">
              {ms === 0 ? 'due' : duration(ms)}
            </text>
          ))}
      </svg>
    </div>
  );
}

/** Patterns besides the colours. */
const patterns = (
  <svg width="0" height="0" aria-hidden="true" className="patterns">
    <title>Patterns</title>
    <defs>
      <pattern id="of-provider" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line x1="0" x2="0" y1="0" y2="6" className="hatch" />
      </pattern>
      <pattern id="of-candidate" width="5" height="5" patternUnits="userSpaceOnUse">
        <circle cx="2" cy="2" r="1" className="dot" />
      </pattern>
    </defs>
  </svg>
);

const owners: Owner[] = ['us', 'fly', 'provider', 'candidate'];

function Blame({ blame }: { blame: Explanation['blame'] }) {
  const total = owners.reduce((sum, owner) => sum + blame[owner], 0);
  return (
    <ul className="blame" aria-label="Who owned the time">
      {owners
        .filter((owner) => blame[owner] > 0)
        .map((owner) => (
          <li key={owner} data-owner={owner}>
            {ownerNames[owner]} <b className="number">{duration(blame[owner])}</b>{' '}
            <span className="soft number">{Math.round((blame[owner] / total) * 100)} %</span>
          </li>
        ))}
    </ul>
  );
}

type Attempt = SessionDocument['machines'][number];

export function Waterfall({ why, machines }: { why: Explanation; machines: Attempt[] }) {
  const { segments, blame } = why;
  const [first, last] = [segments[0], segments.at(-1)];
  if (!first || !last) return <p className="soft">No step is known yet.</p>;
  const scale = scaleOf(first.from, last.until, segments);
  const attempts = machines.map(({ machine_id, attempt, region, reserved_at, destroyed_at, state, reason }) => ({
    ...{ machine_id, attempt, region, state, reason, from: Math.max(first.from, Date.parse(reserved_at)) },
    until: Math.min(last.until, destroyed_at === null ? last.until : Date.parse(destroyed_at)),
  }));
  return (
    <>
      {patterns}
      <Blame blame={blame} />
      <div className="waterfall" aria-hidden="true">
        {scale.breakAt === undefined && <Axis from={first.from} until={last.until} scale={scale} />}
        {lanes.map(({ name, steps }) => {
          const inLane = segments.filter(({ step }) => steps.includes(step));
          return inLane.length === 0 ? null : (
            <div key={name} className="lane">
              <h3>{name}</h3>
              {inLane.map(({ step, owner, from, until, ms, excessMs }) => (
                <div key={step} className="step" data-slow={excessMs > 0 || undefined}>
                  <span>{labels[step]}</span>
                  <Bar {...{ from, until, scale, owner }} />
                  <span className="number">
                    {duration(ms)}
                    {step === 'absent' && scale.breakAt !== undefined && ' //'}
                  </span>
                </div>
              ))}
            </div>
          );
        })}
        <div className="lane">
          <h3>Machines</h3>
          {attempts
            .filter(({ from, until }) => until > from)
            .map(({ machine_id, attempt, region, from, until, state }) => (
              <div key={machine_id} className="step">
                <span>{`attempt ${attempt}, ${region}`}</span>
                <Bar {...{ from, until, scale }} owner="machine" />
                <span className="soft">{words(state)}</span>
              </div>
            ))}
        </div>
      </div>
      <details>
        <summary>The same as a table</summary>
        <Rows
          label="Steps of the start"
          head={['Step', 'Owner', 'From', 'Until', 'Took', 'Beyond the usual']}
          rows={segments.map(({ step, owner, from, until, ms, excessMs }) => [
            step,
            [
              labels[step],
              ownerNames[owner],
              <When key="from" at={from} />,
              <When key="until" at={until} />,
              duration(ms),
              excessMs > 0 ? duration(excessMs) : null,
            ],
          ])}
        />
      </details>
    </>
  );
}

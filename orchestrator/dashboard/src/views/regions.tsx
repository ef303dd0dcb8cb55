import type { Act } from '../acts.tsx';
import { ActButton } from '../acts.tsx';
import type { OpsRegion } from '../answers.ts';
import { cityOf, regionCodes } from '../format.ts';
import { useLive } from '../live.tsx';
import { Loaded, Ms, Rows, State, Title, When } from '../parts.tsx';
import { serverTime } from '../server-time.ts';

const set = (region: string, verb: string, state: string): Act => ({
  ...{ verb, method: 'PUT' },
  on: [{ name: `${region}, ${cityOf(region)}`, path: `regions/${region}`, body: { state } }],
});
export const openRegion = (region: string): Act => set(region, 'Open', 'open');
const drainRegion = (region: string): Act => ({ ...set(region, 'Drain', 'drained'), danger: true });

/** Fly's regions: those that are in use first. */
export function RegionsView() {
  const query = useLive<{ data: OpsRegion[] }>('regions');
  return (
    <>
      <Title>Regions</Title>
      <Loaded query={query}>{({ data }) => <Regions used={data} />}</Loaded>
    </>
  );
}

function Regions({ used }: { used: OpsRegion[] }) {
  const isDrained = ({ drain }: OpsRegion) =>
    drain !== null && (drain.until === null || Date.parse(drain.until) > serverTime());
  const codes = new Set(used.map(({ region }) => region));
  const head = [
    'Region',
    'State',
    'Live',
    'In the room',
    'Standby',
    'Hot',
    'Tried, 1 h',
    'Refused, 1 h',
    'Usual create time',
    'Last created',
    'Act',
  ];
  return (
    <section className="panel">
      <Rows
        label="Regions"
        head={head}
        rows={[
          ...used.map((r): [string, React.ReactNode[]] => [
            r.region,
            [
              <span key="n">
                <b>{r.region}</b> {cityOf(r.region)}
              </span>,
              isDrained(r) ? (
                <span key="s">
                  <State value="drained" /> <span className="soft free">{r.drain?.why}</span>
                </span>
              ) : (
                <State key="s" value="open" />
              ),
              r.sessions,
              r.present,
              r.standby,
              r.hot,
              r.tries_hour,
              r.failures_hour > 0 ? <State key="f" value={String(r.failures_hour)} tone="warn" /> : 0,
              <Ms key="c" value={r.create_ms} />,
              <When key="l" at={r.last_created_at} />,
              <ActButton key="a" act={isDrained(r) ? openRegion(r.region) : drainRegion(r.region)} />,
            ],
          ]),
          ...regionCodes
            .filter((code) => !codes.has(code))
            .map((code): [string, React.ReactNode[]] => [
              code,
              [
                <span key="n">
                  <b>{code}</b> {cityOf(code)}
                </span>,
                <State key="s" value="open" tone="rest" />,
                ...Array.from({ length: 8 }, () => null),
                <ActButton key="a" act={drainRegion(code)} />,
              ],
            ]),
        ]}
      />
    </section>
  );
}

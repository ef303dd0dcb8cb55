import { useId } from 'react';
import type { Forecast, OpsPool } from '../answers.ts';
import { duration, fraction, number, plural } from '../format.ts';
import { useLive } from '../live.tsx';
import { IdLink, Loaded, Panel, Rows, State, Title, When } from '../parts.tsx';
import { serverTime } from '../server-time.ts';
import { SetPool } from './pools.tsx';

/** The schedule of the next hour, laid over Fly's create limit and the pools. */
export function NextHourView() {
  const query = useLive<Forecast>('forecast?minutes=60', 5_000);
  return (
    <>
      <Title>Next hour</Title>
      <Loaded query={query}>
        {(forecast) =>
          forecast.minutes.length === 0 ? (
            <p className="empty">Nothing is scheduled in the next hour.</p>
          ) : (
            <>
              <Panel title="Sessions by minute">
                <Minutes of={forecast} />
              </Panel>
              <Tenants of={forecast} />
            </>
          )
        }
      </Loaded>
    </>
  );
}

const minuteMs = 60_000;
const chartHeight = 140;

/** Sessions due in each minute, and a line: how many machines Fly lets these tenants create in a minute. */
function Minutes({ of: { minutes, tenants } }: { of: Forecast }) {
  const caption = useId();
  const perMinute = tenants.reduce((sum, { creates_per_second }) => sum + creates_per_second * 60, 0);
  const first = Math.floor(serverTime() / minuteMs) * minuteMs;
  const most = Math.max(...minutes.map(({ sessions }) => sessions));
  const top = Math.max(most, Math.min(perMinute, most * 2)) * 1.1;
  const y = (value: number) => chartHeight - (value / top) * chartHeight;
  return (
    <figure aria-labelledby={caption}>
      <svg width="100%" height={chartHeight} className="minutes" aria-hidden="true">
        <title>Sessions by minute</title>
        {minutes.map(({ minute, sessions }) => {
          const at = Math.max(0, (Date.parse(minute) - first) / minuteMs);
          return (
            <rect
              key={minute}
              x={`${(at / 61) * 100}%`}
              width={`${80 / 61}%`}
              y={y(sessions)}
              height={chartHeight - y(sessions)}
              data-over={sessions > perMinute || undefined}
            />
          );
        })}
        {perMinute <= top && <line x1="0" x2="100%" y1={y(perMinute)} y2={y(perMinute)} />}
      </svg>
      <figcaption id={caption} className="soft">
        From now to an hour ahead. At most {plural(most, 'session')} in a minute; Fly lets these tenants create{' '}
        {fraction(perMinute)} machines a minute{perMinute <= top && ' (the line)'}.
      </figcaption>
      <details>
        <summary>As a table</summary>
        <Rows
          label="Sessions by minute"
          head={['Minute', 'Sessions']}
          rows={minutes.map(({ minute, sessions }) => [minute, [<When key="w" at={minute} />, number(sessions)]])}
        />
      </details>
    </figure>
  );
}

function Tenants({ of: { tenants } }: { of: Forecast }) {
  const pools = useLive<{ data: OpsPool[] }>('pools?', 10_000);
  return (
    <Panel title="Will it be in time?">
      <Rows
        label="Forecast by tenant"
        head={['Tenant', 'State', 'Due', 'Prepared', 'Creates a second', 'Will be late', 'Latest by', 'What to do']}
        rows={tenants.map((t) => {
          const region = t.advice_region;
          const pool = pools.data?.data.find((one) => one.tenant_id === t.tenant_id && one.region === region);
          return [
            t.tenant_id,
            [
              <IdLink key="t" to="tenants" id={t.tenant_id}>
                {t.tenant}
              </IdLink>,
              t.late > 0 ? <State key="s" value="late" tone="bad" /> : <State key="s" value="in time" tone="live" />,
              number(t.due),
              number(t.prepared),
              fraction(t.creates_per_second),
              number(t.late),
              t.late > 0 && (t.worst_s === null ? 'never' : duration(t.worst_s * 1_000)),
              t.advice && (
                <span key="a">
                  {t.advice} {region !== null && pools.data && <SetPool pool={pool ?? { ...t, region }} />}
                </span>
              ),
            ],
          ];
        })}
      />
    </Panel>
  );
}

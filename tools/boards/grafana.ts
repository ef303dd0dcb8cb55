import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { Board, Panel } from './boards.ts';

/** Turns a board into Grafana's JSON. The store of metrics is chosen at the top of the board (`$store`). */
const store = { type: 'prometheus', uid: '$' + '{store}' };
/** A row of Grafana is 24 columns wide. */
const widths = { graph: 12, number: 6 };
const heights = { graph: 8, number: 4 };

function panelOf({ title, unit, kind, queries }: Panel) {
  const panel = kind === 'graph' ? new TimeSeriesBuilder().min(0) : new StatBuilder();
  panel.title(title).unit(unit).datasource(store).span(widths[kind]).height(heights[kind]);
  for (const [index, { expr, legend }] of queries.entries()) {
    const query = new DataqueryBuilder().refId(String.fromCharCode(65 + index)).datasource(store);
    panel.withTarget(query.expr(expr).legendFormat(legend));
  }
  return panel;
}

/** The text of the board's file. */
export function grafanaJson({ name, title, tenant, panels }: Board): string {
  const board = new DashboardBuilder(title)
    .uid(`greenroom-${name}`)
    .tags(['greenroom'])
    .readonly()
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('store').label('Store').type('prometheus'));
  if (tenant)
    board.withVariable(
      new QueryVariableBuilder('tenant')
        .label('Tenant')
        .datasource(store)
        .query('label_values(greenroom_tenant_sessions_ended_total, tenant)')
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .sort(VariableSort.AlphabeticalAsc)
        .multi(true)
        .includeAll(true)
        .allValue('.*'),
    );
  for (const panel of panels) board.withPanel(panelOf(panel));
  return `${JSON.stringify(board.build(), null, 2)}\n`;
}

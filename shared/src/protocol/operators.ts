/** Closed lists of the operators' API. The dashboard offers the same values as filters. */
export const startPaths = ['hot', 'standby', 'cold'] as const;
export type StartPath = (typeof startPaths)[number];

/** How long a session may take until it is ready, ms. A scheduled one is prepared before it is due. */
export const startBudgetsMs = { hot: 100, standby: 2_000, cold: 6_000, scheduled: 0 } as const satisfies Record<
  StartPath | 'scheduled',
  number
>;

export const machineKinds = ['session', 'standby', 'hot'] as const;
export const tenantStatuses = ['active', 'suspended', 'removing', 'removed'] as const;
export const auditOutcomes = ['done', 'refused'] as const;

/** Work that an operator can make due at once. */
export const retryableWork = ['result', 'recording', 'recording_deletion', 'hang_up'] as const;
export const workKinds = [...retryableWork, 'erasure', 'webhook'] as const;
export const workStates = ['pending', 'running', 'failing', 'dead'] as const;

/** First segments of the dashboard's addresses, apart from the overview at `/`. */
export const dashboardViews = [
  ...(['sessions', 'machines', 'next-hour', 'pools', 'regions', 'tenants', 'work', 'events', 'audit'] as const),
] as const;
export type DashboardView = (typeof dashboardViews)[number];

/** With what a session is given a machine, its first or the next (`app.give_machine`); durations in ms. */
export interface LaunchParameters {
  /** Who executes the intent. */
  orchestrator_id: string;
  image: string;
  /** How long the intent is this orchestrator's. */
  taken_ms: number;
  /** Lease of a hot machine's worker from its assignment. */
  lease_ms: number;
  /** Allowed life of the machine until its claim, without the interview's own maximum duration. */
  life_ms: number;
  default_region: string;
  /** Machines a session may lose before it fails. Hand-overs and losing hedges do not count. */
  max_attempts: number;
  /** Machines of a session that may fail to be created or started before it fails. */
  max_failed: number;
}

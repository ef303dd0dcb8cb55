import type { ListedMachine } from './fly-admin.ts';

/** Distinguishes this stack from other stacks in the organisation. */
export interface OwnStack {
  deploymentId: string;
  /** `deploymentMark`. */
  mark: string;
  /** The orchestrators' app. @default any app may hold orchestrators with our mark */
  app?: string;
}

/** A machine with our deployment id that belongs to another stack. Two stacks with one id would destroy each other's machines. */
export const machineOfOtherStack = (
  machines: readonly ListedMachine[],
  { deploymentId, mark, app }: OwnStack,
): ListedMachine | undefined =>
  machines.find((machine) => {
    const { greenroom_deployment: deployment, greenroom_mark: other, deployment_id: ofWorker } = machine.metadata;
    const foreignApp = /^gr-.+-([0-9a-f]{8})-\d+(?:-x[0-9a-f]{4})?$/.exec(machine.app)?.[1];
    return (
      (deployment === deploymentId && (other !== mark || (app !== undefined && machine.app !== app))) ||
      (ofWorker === deploymentId && foreignApp !== undefined && foreignApp !== mark)
    );
  });

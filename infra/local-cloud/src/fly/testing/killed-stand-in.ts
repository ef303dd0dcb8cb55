/** Starts a stand-in with one running machine, prints the machine's process id, and waits to be killed. */
import { startHarness, WORKER } from './harness.ts';

const harness = await startHarness();
const id = await harness.create({}, { image: WORKER });
await harness.reach(id, 'started');
console.log(harness.fly.machines()[0]?.pid);

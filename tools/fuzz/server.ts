/**
 * The product's orchestrator, which also says once a second how long its event loop was held and how much memory it has.
 * Counted is the processor's time, not the clock's: a machine that is busy with something else holds nothing.
 */
const sampleMs = 5;
const sayMs = 1_000;
let heldMs = 0;
let last = process.cpuUsage();
let lastMs = performance.now();

setInterval(() => {
  const nowMs = performance.now();
  const used = process.cpuUsage(last);
  heldMs = Math.max(heldMs, Math.min(nowMs - lastMs, (used.user + used.system) / 1_000) - sampleMs);
  last = process.cpuUsage();
  lastMs = nowMs;
}, sampleMs).unref();
setInterval(() => {
  process.stdout.write(`${JSON.stringify({ fuzz: { heldMs, rssBytes: process.memoryUsage.rss() } })}\n`);
  heldMs = 0;
}, sayMs).unref();

await import('@greenroom/orchestrator/main.ts');

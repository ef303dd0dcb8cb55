/** The product's orchestrator, watched. */
import './watch.ts';

await import('@greenroom/orchestrator/main.ts');

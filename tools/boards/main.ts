import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { boards } from './boards.ts';
import { grafanaJson } from './grafana.ts';

/** `npm run generate:boards`: writes the boards to infra/grafana. A test compares the files with what this writes. */
const folder = path.resolve(import.meta.dirname, '../../infra/grafana');

mkdirSync(folder, { recursive: true });
for (const file of readdirSync(folder)) if (file.endsWith('.json')) rmSync(path.join(folder, file));
for (const board of boards) writeFileSync(path.join(folder, `${board.name}.json`), grafanaJson(board));
process.stdout.write(`wrote ${boards.length} boards to infra/grafana\n`);

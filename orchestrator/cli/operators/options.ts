import type { Command } from 'commander';

/** Options that several commands share. */
export const oneOrMore = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

export const listOptions = (command: Command): Command =>
  command.option('--limit <rows>', 'the most rows to print', '50').option('--all', 'all rows, however many');

export const actOptions = (command: Command): Command =>
  command
    .option('--why <reason>', 'the reason, 3 to 200 characters; the audit log keeps it')
    .option('--dry-run', 'say what would happen, and change nothing')
    .option('--yes', 'do not ask');

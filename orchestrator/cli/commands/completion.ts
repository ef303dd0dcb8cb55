import type { Command } from 'commander';
import type { Register } from '../command.ts';
import { CliError } from '../console.ts';

/** `greenroom completion bash|zsh|fish`: the script that completes commands and options, made from the commands themselves. */
interface Place {
  /** The words before, without `greenroom`. */
  path: string;
  words: string[];
}

const flags = ({ options }: Command): string[] => options.flatMap(({ long }) => long ?? []);

function placesOf(command: Command, before: string[] = []): Place[] {
  const names = command.commands.map((sub) => sub.name());
  return [
    { path: before.join(' '), words: [...names, ...flags(command)] },
    ...command.commands.flatMap((sub) => placesOf(sub, [...before, sub.name()])),
  ];
}

const bash = (places: Place[]): string[] => [
  `_greenroom() {
  local path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " $(_greenroom_words "$path") " in *" $word "*) [[ $word == -* ]] || path="\${path:+$path }$word" ;; esac
  done
  COMPREPLY=($(compgen -W "$(_greenroom_words "$path")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}`,
  '_greenroom_words() {',
  '  case "$1" in',
  ...places.map(({ path, words }) => `    "${path}") echo "${words.join(' ')}" ;;`),
  '  esac',
  '}',
  'complete -o default -F _greenroom greenroom',
];

const fish = (places: Place[]): string[] =>
  places.flatMap(({ path, words }) => {
    const seen = path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`;
    return words.map((word) =>
      word.startsWith('--')
        ? `complete -c greenroom -f -n "${seen}" -l ${word.slice(2)}`
        : `complete -c greenroom -f -n "${seen}" -a ${word}`,
    );
  });

const shells: Record<string, (places: Place[]) => string[]> = {
  bash,
  zsh: (places) => ['autoload -U +X bashcompinit && bashcompinit', ...bash(places)],
  fish,
};

export const completionCommand: Register = (program, run) => {
  program
    .command('completion <shell>')
    .description('Print the completion for bash, zsh or fish: source <(greenroom completion bash).')
    .action(
      run(async ({ args: [shell = ''] }: { args: string[] }) => {
        const write = shells[shell];
        if (write === undefined)
          throw new CliError('usage', 'shell', `There is no completion for ${shell}: bash, zsh or fish.`);
        const lines = write(placesOf(program));
        return { document: { script: lines.join('\n') }, lines };
      }),
    );
};

/**
 * Imported by the workers of a campaign before their program: each SIGUSR2 moves the wall clock of the process. The monotonic
 * clock is not changed.
 */
const jumpsMs = [600_000, -1_200_000];
const Wall = Date;
let offByMs = 0;
let jumps = 0;

class JumpingDate extends Wall {
  constructor(...parts: [] | [number | string | Date]) {
    if (parts.length === 0) super(Wall.now() + offByMs);
    else super(...parts);
  }
  static override now(): number {
    return Wall.now() + offByMs;
  }
}
globalThis.Date = JumpingDate as DateConstructor;

process.on('SIGUSR2', () => {
  offByMs += jumpsMs[jumps % jumpsMs.length] as number;
  jumps += 1;
});

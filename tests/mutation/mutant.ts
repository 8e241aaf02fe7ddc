/**
 * Guards taken out one by one, to show that each is missed: a mutant is one change to one file, made while the file is
 * loaded, never on disk, and the tests that must fail because of it.
 */

/** Tests that must not pass with the change. */
export interface Kill {
  /** From the project's folder. */
  readonly file: string;
  /** Which tests of the file, by a regular expression over their full names. */
  readonly only: string;
}

export interface Mutant {
  /** What the guard is for, in a few words; unique. */
  readonly guard: string;
  readonly file: string;
  /** Text that the file holds exactly once. */
  readonly find: string;
  readonly replace: string;
  readonly kill: Kill;
}

/** A mutant of a known file: guard, what is found, what stands there instead, which tests fail; the file's own, unless named. */
export type Change = readonly [guard: string, find: string, replace: string, only: string, testFile?: string];

/** Mutants of one file, whose tests are mostly in one other. */
export function mutantsOf(file: string, testFile: string, changes: readonly Change[]): Mutant[] {
  return changes.map(([guard, find, replace, only, otherFile]) => ({
    guard,
    file,
    find,
    replace,
    kill: { file: otherFile ?? testFile, only },
  }));
}

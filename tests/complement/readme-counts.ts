import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suitePackages } from "./packages.ts";
import { countOutcomes, type Results } from "./results.ts";

const readmeFile = join(import.meta.dirname, "../../README.md");
const begin = "<!-- complement: written by npm run test:complement -- --update -->";
const end = "<!-- /complement -->";

/** Writes the counts by package into their place in the README. @throws Error if the README has no such place. */
export async function writeCounts(results: Results): Promise<void> {
  const readme = await readFile(readmeFile, "utf8");
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from === -1 || to < from) throw new Error(`README.md has no lines ${begin} and ${end}`);
  await writeFile(readmeFile, `${readme.slice(0, from)}${begin}\n${formatCounts(results)}${readme.slice(to)}`);
}

/** A table of how many tests of each package pass, subtests included. */
export function formatCounts(results: Results): string {
  const rows = suitePackages.map(({ path, notRun }) => {
    const outcomes = results.get(path);
    if (outcomes === undefined) return `| \`${path}\` | not run: ${notRun ?? "no results yet"} | | |`;
    const { pass, fail, skip } = countOutcomes(outcomes);
    return `| \`${path}\` | ${pass} | ${fail} | ${skip} |`;
  });
  return ["| package | pass | fail | skip |", "|---|---:|---:|---:|", ...rows, ""].join("\n");
}

import * as v from "valibot";

/** How a test ended. */
export type Outcome = "pass" | "fail" | "skip";

/** What one run of a package gave. */
export interface PackageRun {
  /** By the test's full name, subtests with slashes. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** Everything that was printed. */
  readonly output: string;
}

const testEvent = v.object({
  Action: v.string(),
  Test: v.optional(v.string()),
  Output: v.optional(v.string()),
});

/**
 * Reads what `go test -json` printed. A test that began and never ended, because the binary was ended, has failed.
 *
 * Lines that are no JSON, such as the linker's, belong to the output.
 */
export function readTestEvents(lines: readonly string[]): PackageRun {
  const outcomes = new Map<string, Outcome>();
  const open = new Set<string>();
  let output = "";
  for (const line of lines) {
    const event = parseEvent(line);
    if (event === null) {
      output += `${line}\n`;
      continue;
    }
    output += event.Output ?? "";
    if (event.Test === undefined) continue;
    if (event.Action === "run") open.add(event.Test);
    if (event.Action !== "pass" && event.Action !== "fail" && event.Action !== "skip") continue;
    open.delete(event.Test);
    outcomes.set(event.Test, event.Action);
  }
  for (const test of open) outcomes.set(test, "fail");
  return { outcomes, output };
}

function parseEvent(line: string): v.InferOutput<typeof testEvent> | null {
  if (!line.startsWith("{")) return null;
  try {
    const parsed = v.safeParse(testEvent, JSON.parse(line));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

import { afterAll, afterEach, beforeAll } from "vitest";
import { type Pair, startPair } from "./pair.ts";

/**
 * The two servers for all scenes of a file. Of a scene that fails, the logs are kept.
 * @returns the pair, to be asked for only within a scene
 */
export function pairForFile(): () => Pair {
  let pair: Pair | null = null;
  beforeAll(async () => {
    pair = await startPair();
  });
  afterEach(({ task }) => {
    if (task.result?.state === "fail") pair?.keepLogs(`${task.suite?.name ?? ""} ${task.name}`);
  });
  afterAll(() => pair?.stop());
  return () => {
    if (pair === null) throw new Error("the servers have not been started");
    return pair;
  };
}

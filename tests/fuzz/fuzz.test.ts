/**
 * Requests of all kinds to all endpoints, made of the endpoints' own definitions: whatever is asked, the answer has the
 * spec's form, comes in time, and leaves a server that works.
 *
 * `FUZZ_REQUESTS` says how many (20,000 unless given), `TEST_SEED` makes others. What exists on the server
 * when one of them comes differs between runs, because they are made in parallel.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { expectOk, say } from "../api/homeserver.ts";
import { expectCleanLogs } from "../security/requests.ts";
import { makeRoom, registerUser } from "../support/client.ts";
import { fc, seed } from "../support/property.ts";
import { anyChain } from "./chains.ts";
import { describeOutcome, faultOf, residentMib } from "./checks.ts";
import { anyRequest, type Script } from "./requests.ts";
import { type Outcome, parallel, Target } from "./target.ts";

const requests = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const maxFaults = 10;
const maxResidentMib = 1024;
/** Fewer requests do not reach each endpoint often enough to say so. */
const enoughForAll = 10_000;
/** Endpoints that have granted nothing: some need what chance does not find, such as a proof of an invite by e-mail. */
const maxRefusedShare = 0.25;

const script = fc.oneof({ weight: 30, arbitrary: anyRequest }, { weight: 1, arbitrary: anyChain });
const faults: string[] = [];
/** Endpoint → status → how often. */
const answered = new Map<string, Map<number | null, number>>();
let asked = 0;
let peakMib = 0;
let target: Target;

beforeAll(async () => {
  target = await Target.start();
});
afterAll(() => target?.stop());

function note(outcome: Outcome): void {
  asked += 1;
  const { endpoint } = outcome.request;
  const counts = answered.get(nameOf(endpoint)) ?? new Map<number | null, number>();
  answered.set(nameOf(endpoint), counts.set(outcome.status, (counts.get(outcome.status) ?? 0) + 1));
  const fault = faultOf(outcome);
  if (fault !== null) faults.push(`${fault}\n${describeOutcome(outcome)}`);
  if (asked % 500 === 0) peakMib = Math.max(peakMib, residentMib(target.process.pid) ?? 0);
}

const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

/** Scripts without an end; each batch has a seed of its own. */
function* scripts(): Generator<Script> {
  for (let batch = 0; ; batch += 1) yield* fc.sample(script, { seed: seed + batch, numRuns: 100 });
}

async function runAll(): Promise<void> {
  const source = scripts();
  const work = async () => {
    while (asked < requests && faults.length < maxFaults) {
      const { value } = source.next();
      if (value !== undefined) await target.run(value, note);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

describe("any request to any endpoint", () => {
  it("is answered or refused, in the spec's form and in time", { timeout: 1_800_000 }, async () => {
    process.stdout.write(`fuzz: TEST_SEED=${seed} FUZZ_REQUESTS=${requests}\n`);
    const startedAt = performance.now();
    await runAll();
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    process.stdout.write(`fuzz: ${asked} requests in ${seconds} s, at most ${Math.round(peakMib)} MiB\n`);
    expect(faults.length, faults.join("\n\n")).toBe(0);
    expect(asked).toBeGreaterThanOrEqual(requests);
  });

  it("is often enough one that the endpoint grants", { skip: requests < enoughForAll }, () => {
    const unasked = allEndpoints.filter((endpoint) => !answered.has(nameOf(endpoint)));
    expect(unasked.map(nameOf)).toEqual([]);
    const refused = allEndpoints.filter((endpoint) => answered.get(nameOf(endpoint))?.has(200) !== true);
    expect(refused.length, refused.map(nameOf).join("\n")).toBeLessThan(allEndpoints.length * maxRefusedShare);
  });

  it("leaves a server that works, within its memory and without an error in its log", async () => {
    const user = await registerUser(target.process.baseUrl, "afterwards");
    const roomId = await makeRoom(user);
    await say(user, roomId, "still here");
    const sync = await user.get("v3/sync");
    expectOk(sync);
    expect(sync.text).toContain("still here");
    for (const person of target.people) expect([200, 401]).toContain((await person.get("v3/sync")).status);
    expectCleanLogs([...target.process.stdout.split("\n"), ...target.process.stderr.split("\n")]);
    expect(peakMib).toBeLessThan(maxResidentMib);
  });
});

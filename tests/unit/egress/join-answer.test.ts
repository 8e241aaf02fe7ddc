import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../shared/json.ts";
import { JoinAnswerReader, type JoinFacts, type ToldEvent } from "../../../workers/egress/procedures/join-answer.ts";
import { fc } from "../../support/property.ts";

interface Read {
  readonly state: JsonValue[];
  readonly authChain: JsonValue[];
  readonly facts: JoinFacts | null;
  readonly tooLong: number;
}

/** Reads a text in pieces of the sizes given, over and over. */
function read(text: string, sizes: readonly number[] = [text.length || 1]): Read {
  const reader = new JoinAnswerReader();
  const told: ToldEvent[] = [];
  for (let start = 0, piece = 0; start < text.length; piece += 1) {
    const size = sizes[piece % sizes.length] ?? 1;
    told.push(...reader.push(text.slice(start, start + size)));
    start += size;
  }
  const of = (isState: boolean) =>
    told.filter((event) => event.isState === isState).map(({ text }) => JSON.parse(text));
  return { state: of(true), authChain: of(false), facts: reader.end(), tooLong: reader.tooLong };
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const event = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 5 });

describe("JoinAnswerReader", () => {
  it("cuts what JSON.parse finds, however it is written and comes in", () => {
    const answer = fc.record(
      {
        state: fc.array(event, { maxLength: 6 }),
        auth_chain: fc.array(event, { maxLength: 6 }),
        event,
        members_omitted: fc.boolean(),
        origin: fc.string(),
        servers_in_room: fc.jsonValue({ maxDepth: 3 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(answer, sizes, fc.constantFrom(0, 1, 3), fc.boolean(), (value, pieces, indent, isFirstVersion) => {
        const text = JSON.stringify(isFirstVersion ? [200, value] : value, null, indent);
        const found = read(text, pieces);
        const parsed: JsonObject = JSON.parse(JSON.stringify(value));
        expect(found.state).toEqual(parsed.state ?? []);
        expect(found.authChain).toEqual(parsed.auth_chain ?? []);
        expect(found.facts?.membersOmitted).toBe(value.members_omitted ?? false);
        const told = found.facts?.event ?? null;
        expect(told === null ? undefined : JSON.parse(told)).toEqual(parsed.event);
      }),
      { numRuns: 500 },
    );
  });

  it("says of every beginning of an answer that it broke off", () => {
    const text = JSON.stringify({ state: [{ a: "]" }, { b: ['"}'] }], auth_chain: [], event: { c: 1 } });
    for (let length = 0; length < text.length; length += 1) expect(read(text.slice(0, length)).facts).toBeNull();
    expect(read(text).facts).not.toBeNull();
  });

  it("takes lists only from the answer itself, not from what is inside of it", () => {
    const inner = { state: [{ wrong: true }], auth_chain: [{ wrong: true }] };
    const found = read(JSON.stringify({ event: inner, other: [inner], state: [{ x: inner }], auth_chain: 5 }), [3]);
    expect(found.state).toEqual([{ x: inner }]);
    expect(found.authChain).toEqual([]);
  });

  it("leaves out events that are larger than any may be, and keeps the others", () => {
    const large = { body: "x".repeat(300_000) };
    const found = read(JSON.stringify({ state: [{ a: 1 }, large, { b: 2 }], auth_chain: [large] }), [65_536]);
    expect(found.state).toEqual([{ a: 1 }, { b: 2 }]);
    expect(found.tooLong).toBe(2);
  });

  it("survives what is no JSON", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}:,"\\ a1') }), sizes, (text, pieces) => {
        const reader = new JoinAnswerReader();
        for (let start = 0; start < text.length; start += pieces[0] ?? 1) {
          reader.push(text.slice(start, start + (pieces[0] ?? 1)));
        }
        reader.end();
      }),
      { numRuns: 2_000 },
    );
  });
});

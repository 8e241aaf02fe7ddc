/** Every file of vectors, with its number of cases: each is run, or is not for a reason that stands here. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../../shared/json.ts";
import { isObject } from "../../../shared/json.ts";
import { readFixture, readVectors, vectorsFolder } from "./vectors.ts";

interface Account {
  /** Keys under which the file's cases stand, at any depth, and how many there are. */
  readonly keys: readonly string[];
  readonly cases: number;
  /** The test that runs them, beside this one. */
  readonly test: string;
  /** Cases that are not run, or whose expectation is not ours, and why. */
  readonly except?: readonly (readonly [count: number, reason: string])[];
}

const auth = "event-auth/vectors.test.ts";
const canonical = "canonical-json.test.ts";
const events = "events.test.ts";
const identifiers = "identifiers.test.ts";
const signing = "signing.test.ts";
const stateRes = "state-res/vectors.test.ts";

const accounts: Readonly<Record<string, Account>> = {
  "auth-rules/gomatrixserverlib-auth-events-selection.json": {
    keys: ["cases"],
    cases: 6,
    test: auth,
    except: [[1, "TestStateNeededForAlias: its events have no sender, and the library asks for less than the text"]],
  },
  "auth-rules/gomatrixserverlib.json": {
    keys: ["allowed", "not_allowed"],
    cases: 69,
    test: auth,
    except: [
      [1, "the first join does not look at the sender: the text, Synapse and ruma allow what the library refuses"],
      [2, "a redaction by the redact level is allowed before anybody looks at what it names"],
    ],
  },
  "auth-rules/power-level-values.json": {
    keys: ["room_versions_1_to_9_lenient", "room_versions_10_plus"],
    cases: 9,
    test: auth,
  },
  "canonical-json/derived-js-traps.json": { keys: ["cases"], cases: 10, test: canonical },
  "canonical-json/gomatrixserverlib.json": {
    keys: [
      "conversion",
      "sort",
      "escape_compaction",
      "strict_room_version_6_plus",
      "integer_ranges",
      "not_byte_canonical_but_accepted_by_gmsl",
    ],
    cases: 52,
    test: canonical,
    except: [[2, "a lone surrogate, and -0 with 1e5: the library takes what no canonical JSON can hold"]],
  },
  "canonical-json/spec-examples.json": { keys: ["cases"], cases: 10, test: canonical },
  "event-ids/content-hash-events.json": { keys: ["cases"], cases: 11, test: events },
  "event-ids/derived-all-versions.json": { keys: ["cases"], cases: 70, test: events },
  "event-ids/gomatrixserverlib.json": { keys: ["cases"], cases: 3, test: events },
  "identifiers/mxc.json": {
    keys: ["valid", "invalid"],
    cases: 7,
    test: "vectors.test.ts",
    except: [[7, "nothing reads mxc:// URIs yet: media is not built"]],
  },
  "identifiers/room-ids.json": {
    keys: ["with_domain_valid", "with_domain_invalid", "domainless_v12_valid", "domainless_v12_invalid"],
    cases: 14,
    test: identifiers,
    except: [[1, "!:domain is taken: rooms without a localpart exist, and ruma takes it too"]],
  },
  "identifiers/ruma.json": {
    keys: ["parses", "rejected"],
    cases: 51,
    test: identifiers,
    except: [
      [4, "room ids are held to their grammar: a domain, or the hash of version 12"],
      [2, "event ids are opaque: what comes after a colon is not looked at"],
      [1, "an alias without a localpart is refused"],
    ],
  },
  "identifiers/server-names.json": {
    keys: ["valid", "invalid"],
    cases: 32,
    test: identifiers,
    except: [[1, "the parts of an IPv6 address are not counted"]],
  },
  "identifiers/user-ids.json": {
    keys: ["valid_strict", "valid_historical_only", "invalid", "localpart_mapping_examples"],
    cases: 21,
    test: identifiers,
    except: [[6, "no names of other networks are mapped to user ids"]],
  },
  "push-rules/default-ruleset-v1.19.json": { keys: ["global"], cases: 5, test: "push/push.test.ts" },
  // As the fixture push-conditions.json, see below.
  "push-rules/event-match-examples.json": { keys: ["cases"], cases: 20, test: "vectors.test.ts" },
  "redaction/gomatrixserverlib.json": { keys: ["cases"], cases: 8, test: events },
  "redaction/ruma.json": { keys: ["cases"], cases: 15, test: events },
  "room-versions/features.json": { keys: ["versions"], cases: 12, test: events },
  "server-acl/ruma.json": { keys: ["cases"], cases: 21, test: "glob.test.ts" },
  "signing/gomatrixserverlib-verify.json": {
    keys: [
      "events_signature_valid_after_redaction",
      "events_signature_invalid",
      "sign_event",
      "json_valid",
      "json_invalid",
    ],
    cases: 19,
    test: signing,
  },
  "signing/ruma.json": { keys: ["json_signing", "event_signing_room_version_1"], cases: 4, test: signing },
  "signing/spec-signing.json": { keys: ["json_signing", "event_signing_room_version_1"], cases: 4, test: signing },
  "signing/tuwunel-policy-server.json": { keys: ["vectors"], cases: 2, test: signing },
  "signing/x-matrix-requests.json": {
    keys: ["requests", "cases"],
    cases: 7,
    test: signing,
    except: [[3, "headers with a tab after the scheme and an empty list entry are refused: no server sends such"]],
  },
  "state-res/gomatrixserverlib/auth-chain-subgraph.json": {
    keys: ["cases", "auth_chain_only"],
    cases: 6,
    test: stateRes,
  },
  "state-res/gomatrixserverlib/split-conflicted.json": { keys: ["cases"], cases: 8, test: stateRes },
  "state-res/gomatrixserverlib/v1-power-levels.json": {
    keys: ["expected_winner_event_id"],
    cases: 1,
    test: stateRes,
  },
  "state-res/ruma/manifest.json": { keys: ["tests"], cases: 13, test: stateRes },
  "state-res/tuwunel/manifest.json": { keys: ["tests"], cases: 1, test: stateRes },
};

/** Parts of the cases of the manifest beside them; two of tuwunel's belong to none, and have no expected outcome. */
const partsOfManifests = ["state-res/ruma/fixtures/", "state-res/ruma/expected/", "state-res/tuwunel/fixtures/"];

function countOf(value: JsonValue, keys: readonly string[]): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, entry) => sum + countOf(entry, keys), 0);
  if (!isObject(value)) return 0;
  return Object.entries(value).reduce((sum, [key, entry]) => {
    if (!keys.includes(key)) return sum + countOf(entry, keys);
    return sum + (Array.isArray(entry) ? entry.length : isObject(entry) ? Object.keys(entry).length : 1);
  }, 0);
}

describe.skipIf(!existsSync(vectorsFolder))("the vectors", () => {
  it("are all accounted for", () => {
    const files = readdirSync(vectorsFolder, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".json") && !partsOfManifests.some((folder) => path.startsWith(folder)))
      .sort();
    expect(files).toEqual(Object.keys(accounts).sort());
  });

  it.each(Object.entries(accounts))(
    "%s has the cases that were counted, and a test that runs them",
    (path, account) => {
      const { keys, cases, test, except = [] } = account;
      expect(countOf(readVectors<JsonValue>(path), keys)).toBe(cases);
      expect(except.reduce((sum, [count]) => sum + count, 0)).toBeLessThanOrEqual(cases);
      expect(readFileSync(join(import.meta.dirname, test), "utf8")).toContain(path);
    },
  );

  it("of conditions of push rules are all in the fixture that is run", () => {
    const fixture = readFixture<{ cases: JsonValue[] }>("push-conditions.json").cases.map((one) => JSON.stringify(one));
    const { cases } = readVectors<{ cases: JsonValue[] }>("push-rules/event-match-examples.json");
    expect(cases.filter((one) => !fixture.includes(JSON.stringify(one)))).toEqual([]);
  });
});

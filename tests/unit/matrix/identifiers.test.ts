import { describe, expect, it } from "vitest";
import {
  isValidLocalpart,
  localpartOf,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
} from "../../../shared/ids.ts";
import { describeVectors } from "./vectors.ts";

/** Valid here, and not in the vectors, with the reason. */
const lenient: Readonly<Record<string, string>> = {
  "[2001:0db8:0000:0000:0000:ff00:0042]": "an address is not counted: nobody can be reached by a wrong one",
  "!:domain": "a room id's localpart is opaque, and rooms that have none exist",
  "$39hvsi03hlne:/": "event ids are opaque; only rooms of versions 1 and 2 have a domain in them",
  "$39hvsi03hlne:example.com:notaport": "event ids are opaque; only rooms of versions 1 and 2 have a domain in them",
};

/** Refused here, and parsed in the vectors, with the reason. */
const strict: Readonly<Record<string, string>> = {
  "!29fhd83h92h0": "without a domain, only the 43 characters of a hash",
  "!room_id": "without a domain, only the 43 characters of a hash",
  "!29fhd83h92h0:/": "the domain is no server name",
  "!29fhd83h92h0:example.com:notaport": "the domain is no server name",
};

type Parse = (text: string) => string | null;

function expectValid(parse: Parse, text: string): void {
  expect(parse(text)).toBe(Object.hasOwn(strict, text) ? null : text);
}

function expectInvalid(parse: Parse, text: string): void {
  expect(parse(text)).toBe(Object.hasOwn(lenient, text) ? text : null);
}

describeVectors<{ valid: { name: string }[]; invalid: { name: string; why: string }[] }>(
  "identifiers/server-names.json",
  ({ valid, invalid }) => {
    it.each(valid)("takes the server name $name", ({ name }) => expectValid(parseServerName, name));
    it.each(invalid)("refuses the server name $name: $why", ({ name }) => expectInvalid(parseServerName, name));
  },
);

describeVectors<{ valid_strict: string[]; valid_historical_only: string[]; invalid: string[] }>(
  "identifiers/user-ids.json",
  (vectors) => {
    it.each(vectors.valid_strict)("takes the user id %s, and may give it", (text) => {
      const userId = parseUserId(text);
      expect(userId !== null && isValidLocalpart(localpartOf(userId))).toBe(true);
    });
    it.each(vectors.valid_historical_only)("takes the user id %s, and never gives it", (text) => {
      const userId = parseUserId(text);
      expect(userId !== null && isValidLocalpart(localpartOf(userId))).toBe(false);
      expectValid(parseUserId, text);
    });
    it.each(vectors.invalid)("refuses the user id %s", (text) => expectInvalid(parseUserId, text));
  },
);

describeVectors<Record<string, string[]>>("identifiers/room-ids.json", (vectors) => {
  it.each(["with_domain_valid", "domainless_v12_valid"])("takes all of %s", (key) => {
    for (const text of vectors[key] ?? []) expectValid(parseRoomId, text);
  });
  it.each(["with_domain_invalid", "domainless_v12_invalid"])("refuses all of %s", (key) => {
    for (const text of vectors[key] ?? []) expectInvalid(parseRoomId, text);
  });
});

interface RumaIdentifiers {
  parses: string[];
  rejected: { id: string; reason: string }[];
}

describeVectors<Record<string, RumaIdentifiers>>("identifiers/ruma.json", (vectors) => {
  const parsers: [string, Parse][] = [
    ["server_name", parseServerName],
    ["user_id", parseUserId],
    ["room_id", parseRoomId],
    ["room_alias_id", parseRoomAlias],
    ["event_id", parseEventId],
  ];
  for (const [name, parse] of parsers) {
    const { parses = [], rejected = [] } = vectors[name] ?? {};
    it.each(parses)(`takes the ${name} %j`, (text) => {
      // A room alias without a localpart names nothing.
      if (text === "#:myhomeserver.io") expect(parse(text)).toBeNull();
      else expectValid(parse, text);
    });
    it.each(rejected)(`refuses the ${name} $id`, ({ id }) => expectInvalid(parse, id));
  }
});

describe("identifiers that no vector has", () => {
  it("hold no NUL and no half of a surrogate pair", () => {
    for (const text of ["@a\0:example.org", "@a\ud800:example.org"]) expect(parseUserId(text)).toBeNull();
    for (const text of ["$a\0", "$\udc00"]) expect(parseEventId(text)).toBeNull();
  });
});

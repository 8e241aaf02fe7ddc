import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readRegistrations } from "../../workers/selfhost/appservices.ts";
import { temporaryFolder } from "../support/homeserver.ts";

const irc = `id: "IRC Bridge"
url: "http://127.0.0.1:1234"
as_token: "secret-as"
hs_token: "secret-hs"
sender_localpart: "_irc_bot"
rate_limited: false
protocols: ["irc"]
org.example.extra: 1
namespaces:
  users:
    - exclusive: true
      regex: "@_irc_bridge_.*"
  aliases:
    - exclusive: false
      regex: "#_irc_bridge_.*"
  rooms: []
`;

describe("readRegistrations", () => {
  let folder = "";
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

  it("reads each YAML file in the order of their names and keeps fields beyond the spec's", () => {
    write("b.yml", irc.replace("IRC Bridge", "second").replace("secret-as", "other-as").replace("_irc_bot", "_b"));
    write("a.yaml", irc);
    write("notes.txt", "not a registration");
    expect(readRegistrations(folder).map((found) => found.id)).toEqual(["IRC Bridge", "second"]);
    expect(readRegistrations(folder)[0]).toMatchObject({ url: "http://127.0.0.1:1234", "org.example.extra": 1 });
  });

  it("gives no registration for an empty folder", () => {
    expect(readRegistrations(folder)).toEqual([]);
  });

  it("takes a null url and namespaces that are left out", () => {
    write("a.yaml", "id: a\nurl: null\nas_token: a\nhs_token: b\nsender_localpart: bot\nnamespaces: {}\n");
    expect(readRegistrations(folder)).toHaveLength(1);
  });

  const wrong: readonly [what: string, text: string, complaint: RegExp][] = [
    ["a missing id", irc.replace(/^id:.*$/m, ""), /a\.yaml: id: must be/],
    ["a missing url", irc.replace(/^url:.*$/m, ""), /a\.yaml: url: must be/],
    ["a missing as_token", irc.replace(/^as_token:.*$/m, ""), /a\.yaml: as_token: must be/],
    ["an empty hs_token", irc.replace(/^hs_token:.*$/m, 'hs_token: ""'), /a\.yaml: hs_token: must not be empty/],
    ["a missing sender_localpart", irc.replace(/^sender_localpart:.*$/m, ""), /a\.yaml: sender_localpart: must be/],
    ["a sender_localpart with a colon", irc.replace("_irc_bot", "@bot:x"), /a\.yaml: sender_localpart: must be a/],
    ["missing namespaces", irc.replace(/^namespaces:[\s\S]*$/m, ""), /a\.yaml: namespaces: must be/],
    ["a regex that does not compile", irc.replace("@_irc_bridge_.*", "@("), /namespaces\.users\.0\.regex: not a reg/],
    ["an exclusive that is no boolean", irc.replace("exclusive: true", "exclusive: 7"), /users\.0\.exclusive: must be/],
    ["a url that is no web address", irc.replace("http://127.0.0.1:1234", "ftp://x"), /a\.yaml: url: must be an http/],
    ["text that is not YAML", "id: [", /a\.yaml: not a YAML document/],
    ["a list", "- 1\n", /a\.yaml: not a YAML document/],
  ];
  it.each(wrong)("refuses %s, naming file and field and no token", (_what, text, complaint) => {
    write("a.yaml", text);
    expect(() => readRegistrations(folder)).toThrow(complaint);
    expect(() => readRegistrations(folder)).toThrow(/^APPSERVICE_DIR: (?!.*secret)/);
  });

  it.each(["id", "as_token", "sender_localpart"])("refuses two registrations with the same %s", (name) => {
    const values = { id: "IRC Bridge", as_token: "secret-as", sender_localpart: "_irc_bot" };
    let second = irc;
    for (const [field, value] of Object.entries(values))
      if (field !== name) second = second.replace(value, `${value}2`);
    write("a.yaml", irc);
    write("b.yaml", second);
    expect(() => readRegistrations(folder)).toThrow(`a.yaml and b.yaml have the same ${name}`);
  });
});

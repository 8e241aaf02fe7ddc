import { describe, expect, it } from "vitest";
import { ruleNumber, ruleNumbers } from "../../../../shared/matrix/event-auth/rule-numbers.ts";
import { knownRoomVersions } from "../../../../shared/matrix/room-version.ts";
import { rulesOf } from "../../../support/room-builder.ts";
import { ruleTable } from "./rule-table.ts";

describe.each(knownRoomVersions)("authorize, room version %s", (version) => {
  const rules = rulesOf(version);
  const numbers = ruleNumbers(rules);

  it("has cases for every rule", () => {
    const covered = new Set(ruleTable.map((cases) => cases.rule));
    expect([...numbers.keys()].filter((rule) => !covered.has(rule))).toEqual([]);
  });

  for (const { rule, allows, rejects, spares } of ruleTable.filter((cases) => numbers.has(cases.rule))) {
    const number = ruleNumber(rule, rules);
    if (allows !== undefined) {
      it(`${number} ${rule} allows`, () => expect(allows(version)).toEqual({ allowed: true, rule: number }));
    }
    if (rejects !== undefined) {
      it(`${number} ${rule} rejects`, () => expect(rejects(version)).toMatchObject({ allowed: false, rule: number }));
    }
    it(`${number} ${rule} leaves a near miss to other rules`, () => expect(spares(version)?.rule).not.toBe(number));
  }
});

describe("ruleNumber", () => {
  // Retyped from the specification's pages, not derived from the code.
  it.each([
    ["1", "redaction.otherwise", "11.3"],
    ["1", "otherwise", "12"],
    ["3", "otherwise", "11"],
    ["5", "aliases.otherDomain", "4.2"],
    ["5", "powerLevels.userNew", "10.7.1"],
    ["6", "member.unknown", "4.6"],
    ["6", "join.public", "4.2.5"],
    ["7", "knock.allow", "4.6.3"],
    ["8", "join.restricted.authoriser", "4.3.5.2"],
    ["9", "powerLevels.users", "9.1"],
    ["10", "create.noCreator", "1.4"],
    ["10", "powerLevels.maps", "9.2"],
    ["11", "create.allow", "1.4"],
    ["11", "authEvents.otherRoom", "2.5"],
    ["11", "federate", "3"],
    ["11", "member.authoriserSignature", "4.2.1"],
    ["11", "join.afterCreate", "4.3.1"],
    ["11", "invite.thirdParty.signed", "4.4.1.7"],
    ["11", "invite.otherwise", "4.4.5"],
    ["11", "leave.unban", "4.5.3"],
    ["11", "ban.allow", "4.6.2"],
    ["11", "senderNotJoined", "5"],
    ["11", "thirdPartyInvite", "6.1"],
    ["11", "requiredLevel", "7"],
    ["11", "stateKey", "8"],
    ["11", "powerLevels.first", "9.4"],
    ["11", "powerLevels.levelNew", "9.5.2"],
    ["11", "powerLevels.userCurrent", "9.8.1"],
    ["11", "otherwise", "10"],
    ["12", "create.additionalCreators", "1.4"],
    ["12", "create.allow", "1.5"],
    ["12", "roomId", "2"],
    ["12", "authEvents.unexpected", "3.2"],
    ["12", "authEvents.otherRoom", "3.4"],
    ["12", "federate", "4"],
    ["12", "join.restricted.member", "5.3.5.1"],
    ["12", "invite.thirdParty.noInvite", "5.4.1.5"],
    ["12", "leave.kick", "5.5.4"],
    ["12", "knock.joinRule", "5.7.1"],
    ["12", "member.unknown", "5.8"],
    ["12", "powerLevels.creators", "10.4"],
    ["12", "powerLevels.levelCurrent", "10.6.1"],
    ["12", "powerLevels.userNew", "10.10.1"],
    ["12", "powerLevels.allow", "10.11"],
    ["12", "otherwise", "11"],
  ] as const)("version %s numbers %s as %s", (version, rule, number) => {
    expect(ruleNumber(rule, rulesOf(version))).toBe(number);
  });

  it("refuses to number a rule that the version lacks", () => {
    expect(() => ruleNumber("aliases.allow", rulesOf("12"))).toThrow();
  });
});

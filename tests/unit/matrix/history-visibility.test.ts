import { describe, expect, it } from "vitest";
import type { HistoryVisibility } from "../../../shared/matrix/content/history-visibility.ts";
import type { Membership } from "../../../shared/matrix/content/member.ts";
import { type VisibilityFacts, visibleToUser } from "../../../shared/matrix/history-visibility.ts";

const facts: VisibilityFacts = {
  visibility: "shared",
  visibilityAfter: null,
  membership: "leave",
  membershipAfter: null,
  hasJoinedSince: false,
};

describe("visibleToUser", () => {
  // Visibility, membership at the event, joined afterwards → visible.
  const table: [HistoryVisibility, Membership, boolean, boolean][] = [
    ["world_readable", "leave", false, true],
    ["world_readable", "ban", false, true],
    ["world_readable", "invite", false, true],
    ["world_readable", "join", false, true],
    ["shared", "leave", false, false],
    ["shared", "leave", true, true],
    ["shared", "invite", false, false],
    ["shared", "invite", true, true],
    ["shared", "ban", true, true],
    ["shared", "join", false, true],
    ["invited", "leave", false, false],
    ["invited", "leave", true, false],
    ["invited", "invite", false, true],
    ["invited", "invite", true, true],
    ["invited", "knock", true, false],
    ["invited", "join", false, true],
    ["joined", "leave", true, false],
    ["joined", "invite", true, false],
    ["joined", "ban", true, false],
    ["joined", "join", false, true],
  ];
  it.each(table)("%s, %s then, joined since %s: %s", (visibility, membership, hasJoinedSince, isVisible) => {
    expect(visibleToUser({ ...facts, visibility, membership, hasJoinedSince })).toBe(isVisible);
  });

  it("shows a change of visibility where either setting would", () => {
    expect(visibleToUser({ ...facts, visibility: "joined", visibilityAfter: "world_readable" })).toBe(true);
    expect(visibleToUser({ ...facts, visibility: "world_readable", visibilityAfter: "joined" })).toBe(true);
    expect(visibleToUser({ ...facts, visibility: "joined", visibilityAfter: "invited" })).toBe(false);
  });

  it("shows a user their own joining and leaving", () => {
    expect(visibleToUser({ ...facts, visibility: "joined", membership: "invite", membershipAfter: "join" })).toBe(true);
    expect(visibleToUser({ ...facts, visibility: "joined", membership: "join", membershipAfter: "ban" })).toBe(true);
    expect(visibleToUser({ ...facts, visibility: "joined", membership: "leave", membershipAfter: "invite" })).toBe(
      false,
    );
    expect(visibleToUser({ ...facts, visibility: "invited", membership: "leave", membershipAfter: "invite" })).toBe(
      true,
    );
  });
});

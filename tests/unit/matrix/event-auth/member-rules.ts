import { serverNameOf, type UserId } from "../../../../shared/ids.ts";
import { type JsonObject, type JsonValue, objectField, withFields } from "../../../../shared/json.ts";
import type { AuthDecision } from "../../../../shared/matrix/event-auth/decision.ts";
import { publicKeyOf, signJson } from "../../../../shared/matrix/signing.ts";
import { RoomBuilder, testKeyOf } from "../../../support/room-builder.ts";
import { type Decide, member, on, type RuleCases, type SceneOptions } from "./cases.ts";
import { alice, bob, carol, decide, erin, kay, mallory, nobody, scene, zoe } from "./scene.ts";

const authorised = (by: string): JsonObject => ({ join_authorised_via_users_server: by });

/** A join in a restricted room, authorized by `by`, signed by the servers of sender and `by`. */
function restrictedJoin(joiner: UserId, by: UserId | null, options: SceneOptions = {}): Decide {
  return on(
    {
      ...member(joiner, "join", joiner, by === null ? {} : authorised(by)),
      signedBy: by === null ? [] : [serverNameOf(by)],
    },
    { joinRule: "restricted", ...options },
  );
}

const joinRules: RuleCases[] = [
  {
    rule: "member.malformed",
    rejects: on({ sender: carol, type: "m.room.member", stateKey: carol, content: { membership: 1 } }),
    spares: on(member(carol, "join")),
  },
  {
    rule: "member.authoriserSignature",
    rejects: on(member(zoe, "join", zoe, authorised(alice))),
    spares: on({ ...member(zoe, "join", zoe, authorised(alice)), signedBy: [serverNameOf(alice)] }),
  },
  {
    rule: "join.afterCreate",
    allows: (version) => firstJoin(version, alice),
    spares: (version) => firstJoin(version, bob),
  },
  { rule: "join.otherUser", rejects: on(member(alice, "join", nobody)), spares: on(member(nobody, "join")) },
  { rule: "join.banned", rejects: on(member(mallory, "join")), spares: on(member(erin, "join")) },
  {
    rule: "join.invited",
    allows: on(member(erin, "join"), { joinRule: "invite" }),
    spares: on(member(nobody, "join"), { joinRule: "invite" }),
  },
  {
    rule: "join.restricted.member",
    allows: restrictedJoin(erin, null),
    spares: restrictedJoin(nobody, null),
  },
  {
    rule: "join.restricted.authoriser",
    rejects: restrictedJoin(nobody, carol, { levels: { invite: 50 } }),
    spares: restrictedJoin(nobody, bob, { levels: { invite: 50 } }),
  },
  {
    rule: "join.restricted.allow",
    allows: restrictedJoin(nobody, bob, { levels: { invite: 50 } }),
    spares: restrictedJoin(nobody, erin),
  },
  {
    rule: "join.public",
    allows: on(member(nobody, "join")),
    spares: on(member(nobody, "join"), { joinRule: "invite" }),
  },
  {
    rule: "join.otherwise",
    rejects: on(member(nobody, "join"), { joinRule: "private" }),
    spares: on(member(nobody, "join"), { joinRule: "public" }),
  },
];

function firstJoin(version: string, joiner: UserId): AuthDecision | null {
  return decide(RoomBuilder.empty({ version }), member(joiner, "join"));
}

const identityServer = testKeyOf(serverNameOf(zoe));

/** An invite by third-party id, of which `change` breaks a part; the token's invite is alice's. */
function thirdPartyInvite(
  target: UserId,
  change: (invite: JsonObject) => JsonValue = (invite) => invite,
  sender: UserId = alice,
): Decide {
  return (version) => {
    const room = scene(version);
    const publicKey = publicKeyOf(identityServer);
    room.sendState(alice, "m.room.third_party_invite", { public_keys: [{ public_key: publicKey }] }, "token");
    const signed = signJson({ mxid: target, token: "token" }, serverNameOf(zoe), identityServer);
    return decide(room, member(sender, "invite", target, { third_party_invite: change({ signed }) }));
  };
}

/** Changes the signed block of a third-party invite; its signature stays. */
function signedBlock(changes: Record<string, JsonValue | undefined>): (invite: JsonObject) => JsonValue {
  return (invite) => ({ signed: withFields(objectField(invite, "signed") ?? {}, changes) });
}

const inviteRules: RuleCases[] = [
  { rule: "invite.thirdParty.banned", rejects: thirdPartyInvite(mallory), spares: thirdPartyInvite(nobody) },
  {
    rule: "invite.thirdParty.noSigned",
    rejects: thirdPartyInvite(nobody, () => ({})),
    spares: thirdPartyInvite(nobody),
  },
  {
    rule: "invite.thirdParty.noMxidOrToken",
    rejects: thirdPartyInvite(nobody, signedBlock({ token: undefined })),
    spares: thirdPartyInvite(nobody),
  },
  {
    rule: "invite.thirdParty.otherUser",
    rejects: thirdPartyInvite(nobody, signedBlock({ mxid: "@somebody:else.org" })),
    spares: thirdPartyInvite(nobody),
  },
  {
    rule: "invite.thirdParty.noInvite",
    rejects: thirdPartyInvite(nobody, signedBlock({ token: "unknown" })),
    spares: thirdPartyInvite(nobody),
  },
  {
    rule: "invite.thirdParty.otherSender",
    rejects: thirdPartyInvite(nobody, undefined, bob),
    spares: thirdPartyInvite(nobody, undefined, alice),
  },
  {
    rule: "invite.thirdParty.signed",
    allows: thirdPartyInvite(nobody),
    spares: thirdPartyInvite(nobody, signedBlock({ extra: 1 })),
  },
  {
    rule: "invite.thirdParty.otherwise",
    rejects: thirdPartyInvite(nobody, signedBlock({ signatures: {} })),
    spares: thirdPartyInvite(nobody),
  },
  {
    rule: "invite.senderNotJoined",
    rejects: on(member(erin, "invite", nobody)),
    spares: on(member(carol, "invite", nobody)),
  },
  {
    rule: "invite.targetJoinedOrBanned",
    rejects: on(member(alice, "invite", mallory)),
    spares: on(member(alice, "invite", erin)),
  },
  {
    rule: "invite.allow",
    allows: on(member(bob, "invite", nobody), { levels: { invite: 50 } }),
    spares: on(member(carol, "invite", nobody), { levels: { invite: 50 } }),
  },
  {
    rule: "invite.otherwise",
    rejects: on(member(carol, "invite", nobody), { levels: { invite: 1 } }),
    spares: on(member(carol, "invite", nobody), { levels: { invite: 0 } }),
  },
];

const leaveRules: RuleCases[] = [
  {
    rule: "leave.self",
    allows: on(member(erin, "leave")),
    rejects: on(member(mallory, "leave")),
    spares: on(member(bob, "leave", carol)),
  },
  { rule: "leave.senderNotJoined", rejects: on(member(erin, "leave", carol)), spares: on(member(bob, "leave", carol)) },
  {
    rule: "leave.unban",
    rejects: on(member(bob, "leave", mallory), { levels: { ban: 51 } }),
    spares: on(member(bob, "leave", mallory), { levels: { ban: 50 } }),
  },
  {
    rule: "leave.kick",
    allows: on(member(bob, "leave", carol)),
    spares: on(member(bob, "leave", carol), { levels: { kick: 51 } }),
  },
  {
    rule: "leave.otherwise",
    rejects: on(member(bob, "leave", alice)),
    spares: on(member(alice, "leave", bob)),
  },
  { rule: "ban.senderNotJoined", rejects: on(member(erin, "ban", carol)), spares: on(member(bob, "ban", carol)) },
  { rule: "ban.allow", allows: on(member(bob, "ban", nobody)), spares: on(member(bob, "ban", bob)) },
  {
    rule: "ban.otherwise",
    rejects: on(member(bob, "ban", nobody), { levels: { ban: 51 } }),
    spares: on(member(bob, "ban", nobody), { levels: { ban: 50 } }),
  },
  {
    rule: "knock.joinRule",
    rejects: on(member(nobody, "knock")),
    spares: on(member(nobody, "knock"), { joinRule: "knock" }),
  },
  {
    rule: "knock.otherUser",
    rejects: on(member(alice, "knock", nobody), { joinRule: "knock" }),
    spares: on(member(nobody, "knock"), { joinRule: "knock" }),
  },
  {
    rule: "knock.allow",
    allows: on(member(kay, "knock"), { joinRule: "knock" }),
    spares: on(member(erin, "knock"), { joinRule: "knock" }),
  },
  {
    rule: "knock.otherwise",
    rejects: on(member(mallory, "knock"), { joinRule: "knock" }),
    spares: on(member(nobody, "knock"), { joinRule: "knock" }),
  },
  { rule: "member.unknown", rejects: on(member(carol, "dance")), spares: on(member(carol, "join")) },
];

/** Every rule about `m.room.member`. */
export const memberRules: readonly RuleCases[] = [...joinRules, ...inviteRules, ...leaveRules];

import { type Mutant, mutantsOf } from "./mutant.ts";

const timeline = "tests/actors/room/timeline.test.ts";
const toDevice = "tests/actors/user/to-device.test.ts";

/** What bounds the work and the memory that somebody else can cause. */
export const boundMutants: Mutant[] = [
  ...mutantsOf("actors/user/sync/rooms.ts", "tests/security/odd-rooms.test.ts", [
    [
      "a room in which something is wrong",
      "} catch (thrown) {\n    user.log.error",
      "} catch (thrown) {\n    throw thrown;\n    user.log.error",
      "is left out",
    ],
  ]),
  ...mutantsOf("actors/room/commit-queue.ts", "tests/actors/room/commit-queue.test.ts", [
    [
      "requests that wait for a room",
      "if (this.#queue.length >= maxWaiting) {",
      "if (false) {",
      "no more than a room can",
    ],
  ]),
  ...mutantsOf("actors/room/timeline.ts", timeline, [
    [
      "a page that is empty and not the last",
      "if (!scan.isComplete || hasEvents(room, beyond)) answer.end",
      "if (scan.records.length > 0 && (!scan.isComplete || hasEvents(room, beyond))) answer.end",
      "whose work is done",
    ],
    ["events looked at for one page", "scanned < maxScanned && !isFull()", "!isFull()", "whose work is done"],
    ["events of one page", "Math.max(1, Math.min(input.limit, maxEvents))", "input.limit", "at most a thousand"],
  ]),
  ...mutantsOf("actors/user/to-device.ts", toDevice, [
    ["messages for one device", "while (count > maxInbox || size", "while (size", "holds 10,000 messages"],
    [
      "the length of messages for one device",
      "count > maxInbox || size > maxInboxSize",
      "count > maxInbox",
      "holds 64 MiB",
    ],
    ["the length of one message", "length > maxContentBytes) {", "length < 0) {", "64 KiB and nothing larger"],
    [
      "messages for nobody",
      "if (user.store.devices.ids().length === 0) return;",
      "",
      "leaves nothing behind at a name",
      "tests/federation/edus.test.ts",
    ],
    [
      "a message that comes twice",
      "if (tx.toDevice.isReceived(deposit.sender, deposit.messageId)) return [];",
      "",
      "reaches the devices of a user here, once",
      "tests/federation/edus.test.ts",
    ],
  ]),
  ...mutantsOf("actors/user/sessions.ts", "tests/actors/user/login.test.ts", [
    ["devices of one user", "if (devices.length < maxDevices) return;", "return;", "beyond 200"],
  ]),
  ...mutantsOf("workers/egress/http1.ts", "tests/unit/egress/wire.test.ts", [
    ["answers that are compressed", 'if (encoding !== "identity")', "if (false)", "an encoding that was not asked for"],
  ]),
  ...mutantsOf("actors/room/invite-remote.ts", "tests/federation/invite.test.ts", [
    [
      "the state that goes with an invite",
      "if (characters > 0 && characters + text.length > maxStateCharacters) continue;",
      "",
      "no more state than",
    ],
    [
      "invites that a room sends to other servers",
      'room.memory.limits.count("rc_invites.per_room");',
      "",
      "counts against what a room may send",
    ],
    [
      "invites out of rooms that are for this server's users",
      "if (create === null || !isFederated(create.event.content)) {",
      "if (false) {",
      "asks nobody when the room does not allow",
    ],
  ]),
  ...mutantsOf("workers/egress/procedures/invite.ts", "tests/federation/invite.test.ts", [
    [
      "invites that the room does not allow",
      "await room.checkInvite({ requester, target, content });",
      "",
      "asks nobody when the room does not allow",
    ],
    [
      "what another server says of its user in our event",
      'for (const name of ["displayname", "avatar_url"]) {',
      "for (const name of Object.keys(asked.ok ? asked.value : {})) {",
      "as their server does",
    ],
    ["names that are none", "value.length <= maxProfileFieldLength", "true", "has names that are none"],
  ]),
  ...mutantsOf("actors/room/spaces.ts", "tests/security/federation-reads.test.ts", [
    [
      "descriptions of rooms whose ACL shuts a server out",
      "if (isShutOut(room, room.store, visitor.server)) return false;",
      "",
      "not told of a public room",
    ],
  ]),
];

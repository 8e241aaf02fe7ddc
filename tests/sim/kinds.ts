/** The three actors as the simulation runs them: the production functions over the world's context. */

import { roomContext } from "../../actors/room/context.ts";
import { onRoomAlarm } from "../../actors/room/maintenance.ts";
import { roomRpc } from "../../actors/room/rpc.ts";
import { serverContext } from "../../actors/server/context.ts";
import { onServerAlarm } from "../../actors/server/maintenance.ts";
import { serverRpc } from "../../actors/server/rpc.ts";
import { onAlarm as onUserAlarm } from "../../actors/user/alarm.ts";
import { userContext } from "../../actors/user/context.ts";
import { userRpc } from "../../actors/user/rpc.ts";
import { shouldAskAgain } from "../../actors/user/wait.ts";
import { closeWaiters } from "../../actors/user/waiters.ts";
import { roomMigrations } from "../../schema/room/index.ts";
import { serverMigrations } from "../../schema/server/index.ts";
import { userMigrations } from "../../schema/user/index.ts";
import { trusted } from "../../shared/ids.ts";
import type { ActorKind, KindName } from "./host.ts";

const room: ActorKind = {
  migrations: roomMigrations,
  start: (base, name) => {
    const context = roomContext(base, trusted.roomId(name));
    return { rpc: roomRpc(context), onAlarm: () => onRoomAlarm(context) };
  },
};

const user: ActorKind = {
  migrations: userMigrations,
  start: (base, name, waiters) => {
    const context = userContext(base, trusted.userId(name), waiters);
    return {
      rpc: userRpc(context),
      onAlarm: () => onUserAlarm(context),
      onWait: (waiter, since) => {
        closeWaiters(context, waiter.deviceId);
        return shouldAskAgain(context, waiter.deviceId, since) ? "news" : "hold";
      },
    };
  },
};

const server: ActorKind = {
  migrations: serverMigrations,
  start: (base, name) => {
    const context = serverContext(base, trusted.serverName(name));
    return { rpc: serverRpc(context), onAlarm: () => onServerAlarm(context) };
  },
};

export const productionKinds: Record<KindName, ActorKind> = { room, user, server };

/**
 * Methods, as `kind.method`, that promise to be safe to repeat, also when the repeat comes late. Not among them: what a person does anew
 * by asking again (a kick, a new name for the room).
 */
export const repeatableMethods: ReadonlySet<string> = new Set([
  "user.roomAdvanced",
  "user.roomForgotten",
  "user.getMemberProfile",
  "user.depositToDevice",
  "user.sendToDevice",
  "user.sync",
  "room.createRoom",
  "room.syncRoom",
  "room.getMessages",
  "room.updateMemberProfile",
  "server.admitRegistration",
  "server.getSigningKey",
  "server.noteRoom",
  "server.roomAdvanced",
  "server.sendEdu",
  "server.transactionEnded",
  "server.fetchRoute",
  "server.noteContact",
  "server.noteAlive",
  "server.receiveTransaction",
  "server.getVerifyKeys",
  "server.getCallerKeys",
  "room.takeOutbound",
  "room.receiveEphemeral",
  "room.receivePdus",
  "egress.deliver",
  "egress.discover",
]);

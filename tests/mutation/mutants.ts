import { boundMutants } from "./bounds.ts";
import { clientReadMutants } from "./client-reads.ts";
import { clientMutants } from "./clients.ts";
import { egressMutants } from "./egress.ts";
import { eventAuthMutants } from "./event-auth.ts";
import { eventMutants } from "./events.ts";
import { federationMembershipMutants } from "./federation-membership.ts";
import { federationReadMutants } from "./federation-reads.ts";
import { inboxMutants } from "./inbox.ts";
import { joinMutants } from "./joins.ts";
import { largeRoomMutants } from "./large-rooms.ts";
import type { Mutant } from "./mutant.ts";
import { receiveMutants } from "./receive.ts";
import { roomMutants } from "./rooms.ts";
import { serverKeyMutants } from "./server-keys.ts";

/** All mutants, grouped by the file that they change. */
export const mutants: readonly Mutant[] = [
  ...receiveMutants,
  ...eventMutants,
  ...eventAuthMutants,
  ...roomMutants,
  ...egressMutants,
  ...federationMembershipMutants,
  ...federationReadMutants,
  ...joinMutants,
  ...largeRoomMutants,
  ...clientReadMutants,
  ...clientMutants,
  ...serverKeyMutants,
  ...inboxMutants,
  ...boundMutants,
];

/** What people of several servers were promised. */
import type { DeviceId, EventId, RoomId } from "../../shared/ids.ts";

export interface AcknowledgedEvent {
  readonly roomId: RoomId;
  readonly eventId: EventId;
  /** Who acknowledged it. */
  readonly server: string;
  readonly what: string;
  /** Virtual time of the acknowledgement. */
  readonly at: number;
}

export class FederationLedger {
  readonly rooms: RoomId[] = [];
  readonly events: AcknowledgedEvent[] = [];
  /** Events of the time before anything was promised: to set what is set already is answered with them. */
  readonly old = new Set<string>();
  /** Message → the device that it is for, and whether it was promised to arrive. */
  readonly toDevice = new Map<string, { deviceId: DeviceId; isPromised: boolean }>();
  readonly counts = new Map<string, { asked: number; granted: number }>();

  count(operation: string, isGranted: boolean): void {
    const count = this.counts.get(operation) ?? { asked: 0, granted: 0 };
    this.counts.set(operation, { asked: count.asked + 1, granted: count.granted + (isGranted ? 1 : 0) });
  }
}

/**
 * Counts what an operation costs on the platform: SQL rows, RPC calls between actors, wakes. One counter for the isolate;
 * benchmarks and budget tests read the difference before and after.
 */
export interface Meter {
  rowsRead: number;
  rowsWritten: number;
  rpcCalls: number;
  wakes: number;
  alarms: number;
  /** Calls, alarms and work behind replies that have begun and not ended: while there are any, something may be counted yet. */
  underWay: number;
}

export const meter: Meter = { rowsRead: 0, rowsWritten: 0, rpcCalls: 0, wakes: 0, alarms: 0, underWay: 0 };

/** Runs work that is under way until it ends. */
export async function metered<T>(work: () => Promise<T>): Promise<T> {
  meter.underWay += 1;
  try {
    return await work();
  } finally {
    meter.underWay -= 1;
  }
}

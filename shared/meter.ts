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
}

export const meter: Meter = { rowsRead: 0, rowsWritten: 0, rpcCalls: 0, wakes: 0, alarms: 0 };

/**
 * Writing where a limit of file sizes may be reached.
 *
 * @module
 */
import { isIgnored, setDisposition, Signal } from "../ffi/signal.ts";

/**
 * Writes something, which fails with an error then, and is not our end.
 *
 * @param write Writes it.
 * @returns What `write` returns.
 */
export function sparedOfXfsz<T>(write: () => T): T {
  if (isIgnored(Signal.SIGXFSZ)) return write();
  setDisposition(Signal.SIGXFSZ, "ignore");
  try {
    return write();
  } finally {
    setDisposition(Signal.SIGXFSZ, "default");
  }
}

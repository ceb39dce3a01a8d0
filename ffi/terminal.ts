/**
 * Terminals.
 *
 * @module
 */
import { bind } from "./libc.ts";

const libc = bind({
  isatty: { parameters: ["i32" /* int fd */], result: "i32" },
  ioctl: {
    parameters: ["i32", /* int fd */ "u64", /* unsigned long */ "buffer"],
    result: "i32",
  },
});

/** The same number on x86-64 and aarch64. */
const TIOCGWINSZ = 0x5413n;
/** `struct winsize`: four 16-bit numbers, rows and columns first. */
const WINSIZE = { length: 4, columns: 1 } as const;

/**
 * Asks whether a descriptor is a terminal.
 *
 * @param fd The descriptor.
 * @returns Whether it is.
 */
export function isTerminal(fd: number): boolean {
  return libc.isatty(fd) === 1;
}

/**
 * How wide a terminal is.
 *
 * @param fd Its descriptor.
 * @returns Columns; `undefined` when it is no terminal, or does not know.
 */
export function terminalColumns(fd: number): number | undefined {
  const size = new Uint16Array(WINSIZE.length);
  const result = libc.ioctl(fd, TIOCGWINSZ, new Uint8Array(size.buffer));
  return (result === 0 && size[WINSIZE.columns]) || undefined;
}

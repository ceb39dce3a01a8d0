/**
 * Keeps a finished executable from asking where temporary files go. Deno's
 * runtime makes up a path there for its program, of no file, and dies before
 * all JavaScript when `TMPDIR` is empty or relative. Without the variable it
 * takes `/tmp`; what tend runs still finds it.
 */
import { readElfImage, refusal } from "./elf_image.ts";

const NAME = "TMPDIR";
/** No shell can set it. Equally long. */
const OTHER_NAME = "\x01TEND\x01";

/**
 * Changes an executable so that it asks for a variable that is never set. It is
 * Rust's name that is meant, which has no NUL behind it as those of C have.
 *
 * @param elf The whole file; it is changed in place.
 * @throws {Failure} It is not as this expects; nothing is changed then.
 */
export function replaceTempDir(elf: Uint8Array): void {
  const { segments } = readElfImage(elf);
  const text = new TextDecoder("latin1");
  const found = segments.flatMap(({ offset, filesz }) =>
    [
      ...text.decode(elf.subarray(offset, offset + filesz))
        .matchAll(/(?<!_)TMPDIR(?![\0"])/g),
    ].map(({ index }) => offset + index)
  );
  const [at, ...more] = found;
  if (at === undefined || more.length > 0) {
    throw refusal(`it has Rust's ${NAME} ${found.length} times`);
  }
  elf.set(new TextEncoder().encode(OTHER_NAME), at);
}

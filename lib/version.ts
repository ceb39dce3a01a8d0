import config from "../deno.json" with { type: "json" };

/** The version of this package. */
export const VERSION: string = config.version;

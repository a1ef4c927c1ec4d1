/**
 * What a router's process is told beside its flags. glibc gives each thread memory of its own, and the threads of V8 that
 * compile and collect keep what they needed once: some MiB that one memory for all gives back.
 */
export const ROUTER_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };

import pRetry from 'p-retry'

/**
 * Repeats `attempt` while `shouldRetry` says so; p-retry drives the loop, waits and limits are ours.
 *
 * p-retry's own delay has no full jitter and cannot follow a Retry-After, so `minTimeout` is 0 and `attempt` sleeps.
 */
export function retryLoop<T>(attempt: () => Promise<T>, shouldRetry: (error: unknown) => boolean): Promise<T> {
  return pRetry(attempt, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 0,
    shouldRetry: ({ error }) => shouldRetry(error),
  })
}
